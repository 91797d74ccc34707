import { TIMELINE_PHASES } from '@thaw/protocol/timeline.ts';
import type { LogLine } from '../telemetry/log-store/log-line.ts';
import type { Invocation } from './invocation.ts';

/** What an invocation's time went into, for whoever reads the log of its function. */
export function timelineLine(invocation: Invocation, time: number): LogLine {
  const { requestId, runnable } = invocation.request;
  const phases = TIMELINE_PHASES.flatMap((phase) => {
    const ms = invocation.timeline[phase];
    return ms === undefined ? [] : [`${phase} ${ms.toFixed(2)} ms`];
  });
  return {
    time,
    functionName: runnable.functionName,
    versionId: runnable.versionId,
    requestId,
    instanceId: invocation.instanceId,
    source: 'platform',
    text: `timeline: ${[...phases, ...startOf(invocation)].join(', ')}`,
  };
}

function startOf({ isColdStart, startKind }: Invocation): string[] {
  if (!isColdStart || startKind === undefined) return [];
  if (startKind.name === 'cold') return [`no stem: ${startKind.reason}`];
  return [startKind.isLoadedAhead ? 'from a stem with its code loaded' : 'from a stem'];
}
