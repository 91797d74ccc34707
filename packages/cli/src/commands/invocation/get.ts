import { requireInvocation } from '../../api/find-invocation.ts';
import type { InvocationAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatMs, formatTime } from '../../output/format.ts';
import { formatPairs, type Output } from '../../output/output.ts';
import { drawTimeline, TIMELINE_CHARACTERS } from '../../output/timeline-chart.ts';

export const command: Command = {
  name: 'invocation get',
  summary: 'show one invocation with its timeline',
  arguments: [{ name: 'request', summary: 'its request id' }],
  examples: [
    { run: 'thaw invocation get 1-65a1f2c0-0123456789abcdef01234567', does: 'what happened, phase by phase' },
  ],
  run: async ({ output, connect, signal }, [requestId = '']) => {
    const client = await connect();
    const invocation = await requireInvocation(client, requestId, signal);
    output.result(invocation, () => [
      ...describeInvocation(output, invocation),
      '',
      ...drawTimeline(invocation.timeline ?? {}, TIMELINE_CHARACTERS),
    ]);
  },
};

function describeInvocation(output: Output, invocation: InvocationAnswer): string[] {
  const { memoryMb, memoryPeakMb, billedMs, statusCode } = invocation;
  return formatPairs(output, [
    ['request', invocation.requestId],
    ['function', invocation.functionName],
    ['version', invocation.versionId],
    ['qualifier', invocation.qualifier],
    ['instance', invocation.instanceId],
    ['kind', invocation.kind],
    ['trigger', invocation.trigger],
    ['replay of', invocation.replayOf],
    ['started', formatTime(invocation.startedAt)],
    ['status', statusCode === undefined ? invocation.status : `${invocation.status ?? ''} (${statusCode})`],
    ['error', [invocation.errorCode, invocation.errorType].filter(Boolean).join(', ')],
    ['start', invocation.coldStart === undefined ? undefined : invocation.coldStart ? 'cold' : 'warm'],
    ['billed', billedMs === undefined ? undefined : formatMs(billedMs)],
    ['memory', memoryMb === undefined ? undefined : `${memoryPeakMb ?? '?'} of ${memoryMb} MB`],
  ]);
}
