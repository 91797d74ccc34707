import { createWriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { parseServerTiming } from '../api/server-timing.ts';
import { EXIT_CODES } from '../exit-code.ts';
import { describeFunctionError } from './function-error.ts';
import type { Output } from './output.ts';
import { drawTimeline, summarizeTimeline, TIMELINE_CHARACTERS } from './timeline-chart.ts';

export interface AnswerOptions {
  /** The file that gets the result. */
  readonly output?: string;
  readonly timeline?: boolean;
  readonly log?: boolean;
}

/** Shows what a function returned, and what is to be said of it; gives the exit code. */
export async function printAnswer(
  output: Output,
  name: string,
  response: IncomingMessage,
  options: AnswerOptions,
): Promise<number> {
  const errorType = headerOf(response, 'x-fc-error-type');
  if (output.isJson) await printJson(output, response, options);
  else if (errorType !== undefined) await printError(output, name, response);
  else await printResult(output, response, options);
  if (!output.isJson) printAbout(output, response, options);
  return errorType === undefined ? EXIT_CODES.ok : EXIT_CODES.function;
}

/** Shows which task an invocation that runs later has become. */
export async function printAccepted(output: Output, name: string, response: IncomingMessage): Promise<void> {
  await buffer(response);
  const accepted = {
    taskId: headerOf(response, 'x-fc-async-task-id') ?? '',
    requestId: headerOf(response, 'x-fc-request-id'),
  };
  output.result(accepted, () => [accepted.taskId]);
  output.note(`See it with: thaw task get ${name} ${accepted.taskId}`);
}

async function printResult(output: Output, response: IncomingMessage, options: AnswerOptions): Promise<void> {
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

async function printJson(output: Output, response: IncomingMessage, options: AnswerOptions): Promise<void> {
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

function printAbout(output: Output, response: IncomingMessage, options: AnswerOptions): void {
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
