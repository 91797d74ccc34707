import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath, type Client } from '../api/client.ts';
import type { Command } from '../command.ts';
import { EXIT_CODES } from '../exit-code.ts';
import { printAccepted, printAnswer } from '../output/invocation-answer.ts';
import type { Output } from '../output/output.ts';

interface Options {
  readonly data?: string;
  readonly file?: string;
  readonly output?: string;
  readonly qualifier?: string;
  readonly timeline?: boolean;
  readonly log?: boolean;
  readonly async?: boolean;
  readonly taskId?: string;
}

export const command: Command = {
  name: 'invoke',
  summary: 'run a function and print what it returns',
  details:
    'The event is -d, or a file, or standard input when that is no terminal, or nothing. Bytes go in and come out ' +
    'untouched: the result is on stdout (or in -o), what is said about it on stderr.',
  arguments: [{ name: 'function', summary: 'its name' }],
  options: [
    { flags: '-d, --data <text>', summary: 'the event' },
    { flags: '-f, --file <path>', summary: 'a file with the event; - is standard input' },
    { flags: '-o, --output <path>', summary: 'write the result here' },
    { flags: '--qualifier <name>', summary: 'a version or an alias (default: LATEST)' },
    { flags: '--timeline', summary: 'draw where the time went' },
    { flags: '--log', summary: 'show the end of what the function printed' },
    { flags: '--async', summary: 'accept it, print the id of its task, and run it soon' },
    { flags: '--task-id <id>', summary: 'with --async: the id; the same one twice runs once' },
  ],
  examples: [
    { run: `thaw invoke hello -d '{"name":"Ada"}'`, does: 'a text as the event' },
    { run: 'thaw invoke thumbnail -f photo.jpg -o small.jpg --timeline', does: 'bytes in, bytes out' },
    { run: 'thaw invoke resize -f photo.jpg --async --task-id photo-17', does: 'later, exactly one task' },
    {
      run: 'cat event.json | thaw invoke hello --qualifier prod --log',
      does: 'from standard input, with its log',
    },
  ],
  run: async ({ output, connect }, [name = ''], options: Options) => {
    requireFitting(options);
    const body = await readEvent(options);
    const client = await connect();
    if (options.async === true) {
      await submit(client, output, name, body, options);
      return EXIT_CODES.ok;
    }
    const response = await callFunction(client, name, body, options);
    return printAnswer(output, name, response, options);
  },
};

/** Of an invocation that runs later nothing can be shown now. */
function requireFitting({ async: isAsync, taskId, output, timeline, log }: Options): void {
  if (isAsync !== true) {
    if (taskId === undefined) return;
    throw new ThawError('INVALID_ARGUMENT', '--task-id goes with --async');
  }
  const unfit = [
    ...(output === undefined ? [] : ['--output']),
    ...(timeline === true ? ['--timeline'] : []),
    ...(log === true ? ['--log'] : []),
  ];
  if (unfit.length === 0) return;
  throw new ThawError('INVALID_ARGUMENT', `${unfit.join(' and ')} cannot go with --async: see thaw task get`);
}

async function submit(
  client: Client,
  output: Output,
  name: string,
  body: Buffer,
  { qualifier, taskId }: Options,
): Promise<void> {
  const response = await client.open({
    method: 'POST',
    path: apiPath('functions', name, 'invocations'),
    query: { qualifier },
    headers: {
      'content-type': 'application/octet-stream',
      'x-fc-invocation-type': 'Async',
      ...(taskId === undefined ? {} : { 'x-fc-async-task-id': taskId }),
    },
    body,
  });
  await printAccepted(output, name, response);
}

async function readEvent(options: Options): Promise<Buffer> {
  if (options.data !== undefined && options.file !== undefined) {
    throw new ThawError('INVALID_ARGUMENT', 'the event is given twice, with -d and with -f');
  }
  if (options.data !== undefined) return Buffer.from(options.data);
  if (options.file !== undefined && options.file !== '-') {
    return readFile(options.file).catch((error: unknown) => {
      throw new ThawError('INVALID_ARGUMENT', `reading the event from ${options.file}`, { cause: error });
    });
  }
  if (options.file === undefined && process.stdin.isTTY) return Buffer.alloc(0);
  return buffer(process.stdin);
}

async function callFunction(
  client: Client,
  name: string,
  body: Buffer,
  { qualifier, log }: Options,
): Promise<IncomingMessage> {
  return client.open({
    method: 'POST',
    path: apiPath('functions', name, 'invocations'),
    query: { qualifier },
    headers: {
      'content-type': 'application/octet-stream',
      'x-fc-invocation-type': 'Sync',
      ...(log === true ? { 'x-fc-log-type': 'Tail' } : {}),
    },
    body,
  });
}
