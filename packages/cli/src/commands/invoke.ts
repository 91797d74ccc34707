import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath, type Client } from '../api/client.ts';
import { parseServerTiming } from '../api/server-timing.ts';
import type { Command } from '../command.ts';
import { EXIT_CODES } from '../exit-code.ts';
import { describeFunctionError } from '../output/function-error.ts';
import type { Output } from '../output/output.ts';
import { drawTimeline, summarizeTimeline, TIMELINE_CHARACTERS } from '../output/timeline-chart.ts';

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
    const errorType = headerOf(response, 'x-fc-error-type');
    if (output.isJson) await printJson(output, response, options);
    else if (errorType !== undefined) await printError(output, name, response);
    else await printResult(output, response, options);
    if (!output.isJson) printAbout(output, response, options);
    return errorType === undefined ? EXIT_CODES.ok : EXIT_CODES.function;
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
  await buffer(response);
  const accepted = {
    taskId: headerOf(response, 'x-fc-async-task-id') ?? '',
    requestId: headerOf(response, 'x-fc-request-id'),
  };
  output.result(accepted, () => [accepted.taskId]);
  output.note(`See it with: thaw task get ${name} ${accepted.taskId}`);
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

async function printResult(output: Output, response: IncomingMessage, options: Options): Promise<void> {
  if (options.output !== undefined) {
    await writeResult(response, options.output);
    return;
  }
  let lastByte: number | undefined;
  response.on('data', (chunk: Buffer) => (lastByte = chunk.at(-1) ?? lastByte));
  await pipeline(response, output.stdout, { end: false }).catch((error: unknown) => {
    throw new ThawError('PLATFORM_UNREACHABLE', 'reading the result', { cause: error });
  });
  // On a terminal the prompt belongs on a line of its own; a pipe gets the bytes and nothing else.
  if (output.stdout.isTTY && lastByte !== undefined && lastByte !== 0x0a) output.stdout.write('\n');
}

async function writeResult(response: IncomingMessage, path: string): Promise<void> {
  await pipeline(response, createWriteStream(path)).catch((error: unknown) => {
    if (response.errored !== null) {
      throw new ThawError('PLATFORM_UNREACHABLE', 'reading the result', { cause: error });
    }
    throw new ThawError('INVALID_ARGUMENT', `writing the result to ${path}`, { cause: error });
  });
}

async function printError(output: Output, name: string, response: IncomingMessage): Promise<void> {
  const body = await buffer(response);
  const errorType = headerOf(response, 'x-fc-error-type') ?? '';
  for (const line of describeFunctionError(output, name, errorType, body)) output.stderr.write(`${line}\n`);
}

async function printJson(output: Output, response: IncomingMessage, options: Options): Promise<void> {
  let body: Buffer | undefined;
  if (options.output === undefined || headerOf(response, 'x-fc-error-type') !== undefined)
    body = await buffer(response);
  else await writeResult(response, options.output);
  output.result(
    {
      requestId: headerOf(response, 'x-fc-request-id'),
      instanceId: headerOf(response, 'x-fc-instance-id'),
      version: headerOf(response, 'x-fc-invocation-service-version'),
      errorType: headerOf(response, 'x-fc-error-type'),
      httpStatus: headerOf(response, 'x-fc-http-status'),
      timeline: timelineOf(response),
      log: options.log === true ? logOf(response) : undefined,
      ...(body === undefined ? { output: options.output } : bodyAsJson(body)),
    },
    () => [],
  );
}

/** Text where the bytes are text, else base64: nothing is lost either way. */
function bodyAsJson(body: Buffer): { readonly body: string } | { readonly bodyBase64: string } {
  try {
    return { body: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body) };
  } catch {
    return { bodyBase64: body.toString('base64') };
  }
}

function printAbout(output: Output, response: IncomingMessage, options: Options): void {
  if (options.log === true) output.stderr.write(logOf(response));
  const timeline = timelineOf(response);
  if (output.isTerminal || options.timeline === true) {
    const requestId = headerOf(response, 'x-fc-request-id') ?? 'no request id';
    const status = headerOf(response, 'x-fc-http-status');
    const facts = [
      requestId,
      ...(status === undefined ? [] : [`HTTP ${status}`]),
      summarizeTimeline(timeline),
    ];
    output.note(output.styleError('dim', facts.join(' · ')));
  }
  if (options.timeline !== true) return;
  for (const line of drawTimeline(timeline, TIMELINE_CHARACTERS)) output.note(line);
}

/** Phases that end with the last byte can only come after it, in a trailer. */
function timelineOf(response: IncomingMessage): ReturnType<typeof parseServerTiming> {
  return {
    ...parseServerTiming(response.headers['server-timing']),
    ...parseServerTiming(response.trailers['server-timing']),
  };
}

function logOf(response: IncomingMessage): string {
  const text = Buffer.from(headerOf(response, 'x-fc-log-result') ?? '', 'base64').toString();
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function headerOf(response: IncomingMessage, name: string): string | undefined {
  const value = response.headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
