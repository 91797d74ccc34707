import { TIMELINE_PHASES, type Timeline, type TimelinePhase } from '@thaw/protocol/timeline.ts';

const PHASES: ReadonlySet<string> = new Set(TIMELINE_PHASES);

/** Reads `Server-Timing: queued;dur=1.2, handler;dur=30` (W3C Server Timing); entries that are no phase are skipped. */
export function parseServerTiming(header: string | readonly string[] | undefined): Timeline {
  const timeline: Partial<Record<TimelinePhase, number>> = {};
  if (header === undefined) return timeline;
  const text = typeof header === 'string' ? header : header.join(',');
  for (const entry of text.split(',')) {
    const [name = '', ...parameters] = entry.split(';').map((part) => part.trim());
    if (!isPhase(name)) continue;
    const duration = parameters.find((parameter) => parameter.startsWith('dur='));
    const ms = duration === undefined ? Number.NaN : Number(duration.slice(4).replaceAll('"', ''));
    if (Number.isFinite(ms)) timeline[name] = ms;
  }
  return timeline;
}

function isPhase(name: string): name is TimelinePhase {
  return PHASES.has(name);
}
