import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { nativePath } from '../../api/client.ts';
import { requireInvocation } from '../../api/find-invocation.ts';
import type { Command } from '../../command.ts';
import { EXIT_CODES } from '../../exit-code.ts';
import { printAccepted, printAnswer, type AnswerOptions } from '../../output/invocation-answer.ts';

interface Options extends AnswerOptions {
  readonly qualifier?: string;
  readonly async?: boolean;
}

export const command: Command = {
  name: 'invocation replay',
  summary: 'run an invocation again from its stored input',
  details:
    'Functions with THAW_RECORD_INPUTS=on in their environment have the inputs of all invocations kept for a week; ' +
    'those of asynchronous invocations are kept with their tasks. The result is printed as by thaw invoke.',
  arguments: [{ name: 'request', summary: 'its request id' }],
  options: [
    { flags: '-o, --output <path>', summary: 'write the result here' },
    { flags: '--qualifier <name>', summary: 'a version or an alias (default: that of the first run)' },
    { flags: '--timeline', summary: 'draw where the time went' },
    { flags: '--log', summary: 'show the end of what the function printed' },
    { flags: '--async', summary: 'accept it, print the id of its task, and run it soon' },
  ],
  examples: [
    {
      run: 'thaw invocation replay 1-65a1f2c0-0123456789abcdef01234567 --log',
      does: 'the same input once more, with its log',
    },
    {
      run: 'thaw invocation replay 1-65a1f2c0-0123456789abcdef01234567 --qualifier fixed',
      does: 'by another version',
    },
  ],
  run: async ({ output, connect, signal }, [requestId = ''], options: Options) => {
    const isAsync = options.async === true;
    if (isAsync && (options.output !== undefined || options.timeline === true || options.log === true)) {
      throw new ThawError('INVALID_ARGUMENT', '--output, --timeline and --log cannot go with --async');
    }
    const client = await connect();
    const { functionName } = await requireInvocation(client, requestId, signal);
    const response = await client.open({
      method: 'POST',
      path: nativePath('invocations', requestId, 'replay'),
      query: { qualifier: options.qualifier },
      headers: {
        'x-fc-invocation-type': isAsync ? 'Async' : 'Sync',
        ...(options.log === true ? { 'x-fc-log-type': 'Tail' } : {}),
      },
    });
    if (!isAsync) return printAnswer(output, functionName, response, options);
    await printAccepted(output, functionName, response);
    return EXIT_CODES.ok;
  },
};
