import { nativePath } from '../../api/client.ts';
import type { TriggerTestAnswer } from '../../api/trigger-wire.ts';
import type { Command } from '../../command.ts';
import { EXIT_CODES } from '../../exit-code.ts';
import { readGiven } from '../../input.ts';

interface Options {
  readonly data?: string;
  readonly file?: string;
  readonly sample?: boolean;
}

export const command: Command = {
  name: 'trigger test',
  summary: "run a trigger's function with a sample event, or with one of yours",
  details:
    'The function is invoked as the trigger would, and its answer printed; nothing else happens. A paused trigger can ' +
    'be tested too.',
  arguments: [
    { name: 'function', summary: "the function's name" },
    { name: 'trigger', summary: "the trigger's name" },
  ],
  options: [
    { flags: '-d, --data <text>', summary: 'the event, in place of the sample' },
    { flags: '-f, --file <path>', summary: 'a file with the event; - is standard input' },
    { flags: '--sample', summary: 'print the sample event and run nothing' },
  ],
  examples: [
    { run: 'thaw trigger test report nightly', does: 'as if the time had come' },
    { run: 'thaw trigger test jobs queue --sample > event.json', does: 'an event to start from' },
    { run: 'thaw trigger test jobs queue -f event.json', does: 'with your own' },
  ],
  run: async ({ output, connect }, [name = '', triggerName = ''], { data, file, sample }: Options) => {
    const given = await readGiven('event', { data, file });
    const client = await connect();
    const path = (verb: string): string => nativePath('functions', name, 'triggers', triggerName, verb);
    if (sample === true) {
      const answer = await client.json<TriggerTestAnswer>({ method: 'GET', path: path('sample') });
      output.result(answer, () => [answer.event ?? answer.eventBase64 ?? '']);
      return EXIT_CODES.ok;
    }
    const answer = await client.json<TriggerTestAnswer>({
      method: 'POST',
      path: path('test'),
      headers: { 'content-type': 'application/octet-stream' },
      body: given ?? Buffer.alloc(0),
    });
    const failed = answer.errorCode !== undefined;
    if (failed && !output.isJson) {
      output.stderr.write(
        `${output.styleError('red', answer.errorCode ?? '')}: ${answer.errorMessage ?? ''}\n`,
      );
      if (answer.functionError !== undefined) {
        output.stderr.write(`${JSON.stringify(answer.functionError, undefined, 2)}\n`);
      }
    } else output.result(answer, () => [answer.answer ?? answer.answerBase64 ?? '']);
    output.note(output.styleError('dim', answer.requestId));
    return failed ? EXIT_CODES.function : EXIT_CODES.ok;
  },
};
