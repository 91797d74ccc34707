import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatPairs, formatTable } from '../../output/output.ts';
import { errorLine, type DeadLetterAnswer } from './dead-letter-wire.ts';

const SHOWN_CHARACTERS_MAX = 1000;

export const command: Command = {
  name: 'dead-letter get',
  summary: 'show a dead letter: its payload, its error and what happened to it',
  arguments: [
    { name: 'function', summary: 'its name' },
    { name: 'task', summary: 'the id that the invocation was accepted with' },
  ],
  examples: [{ run: 'thaw dead-letter get resize photo-17', does: 'why it failed, and on what' }],
  run: async ({ output, connect }, [functionName = '', taskId = '']) => {
    const client = await connect();
    const path = nativePath('dead-letters', functionName, taskId);
    const letter = await client.json<DeadLetterAnswer>({ method: 'GET', path });
    output.result(letter, () => [
      ...formatPairs(output, [
        ['task', letter.taskId],
        ['request', letter.requestId],
        ['qualifier', letter.qualifier],
        ['trigger', letter.trigger],
        ['status', letter.status],
        ['accepted', formatTime(letter.enqueuedTime)],
        ['ended', formatTime(letter.endTime)],
        ['tries', String(letter.tries)],
        ['error', errorLine(letter)],
        ['destination', letter.destinationStatus],
        ['payload', payloadLine(letter)],
      ]),
      '',
      ...formatTable(
        output,
        ['TIME', 'STATUS', 'DETAIL'],
        (letter.events ?? []).map(({ status, at, detail }) => [formatTime(at), status, detail]),
      ),
    ]);
  },
};

/** Short text as it is; of anything else how much there is. */
function payloadLine({ payload, payloadEncoding, payloadSize }: DeadLetterAnswer): string {
  const isShown =
    payload !== undefined && payloadEncoding === undefined && payload.length <= SHOWN_CHARACTERS_MAX;
  return isShown ? payload : `${formatBytes(payloadSize)} (fetch it with thaw task result --payload)`;
}
