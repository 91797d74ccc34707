import type { ServerResponse } from 'node:http';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { LogStore } from '../../telemetry/log-store/log-store.ts';

const LINES_MAX = 10_000;
const LINES_DEFAULT = 1000;
/** A follower that reads too slowly is cut off rather than kept in memory. */
const FOLLOWER_BYTES_MAX = 4 * 1024 * 1024;

/** Answers with NDJSON: the newest lines that fit the filter, oldest first, then, with `follow=1`, each new one. */
export function serveLogs(
  logs: LogStore,
  functionName: string,
  parameters: URLSearchParams,
  response: ServerResponse,
  stopping: AbortSignal,
): void {
  const limit = Number(parameters.get('limit') ?? LINES_DEFAULT);
  if (!Number.isInteger(limit) || limit < 0 || limit > LINES_MAX) {
    throw new ThawError('INVALID_ARGUMENT', `limit must be a whole number from 0 to ${LINES_MAX}`);
  }
  const sinceMs = Number(parameters.get('sinceMs') ?? 0);
  if (!Number.isFinite(sinceMs))
    throw new ThawError('INVALID_ARGUMENT', 'sinceMs must be milliseconds since 1970');
  const requestId = parameters.get('requestId');
  const filter = { functionName, sinceMs, ...(requestId === null ? {} : { requestId }) };
  response.writeHead(200, ['Content-Type', 'application/x-ndjson', 'Cache-Control', 'no-store']);
  response.flushHeaders();
  const write = (line: unknown): void => {
    if (response.writableEnded) return;
    response.write(`${JSON.stringify(line)}\n`);
    if (response.writableLength > FOLLOWER_BYTES_MAX) response.destroy();
  };
  // A function may say nothing for longer than a connection may usually idle.
  if (parameters.get('follow') === '1') response.socket?.setTimeout(0);
  const stop = (): void => void response.end();
  stopping.addEventListener('abort', stop, { once: true });
  response.once('close', () => stopping.removeEventListener('abort', stop));
  void sendLogs(logs, filter, limit, parameters.get('follow') === '1', write, response);
}

/** Never rejects: a log that cannot be read breaks the answer off, which its reader sees. */
async function sendLogs(
  logs: LogStore,
  filter: { functionName: string; sinceMs: number; requestId?: string },
  limit: number,
  follows: boolean,
  write: (line: unknown) => void,
  response: ServerResponse,
): Promise<void> {
  // In one turn, so that no line falls between and none comes twice; what comes meanwhile waits its turn.
  const early: unknown[] = [];
  let send = (line: unknown): void => {
    if (early.length < LINES_MAX) early.push(line);
  };
  const unfollow = follows ? logs.follow(filter, (line) => send(line)) : undefined;
  if (unfollow !== undefined) response.once('close', unfollow);
  try {
    for await (const line of logs.read({ ...filter, limit, tail: true })) write(line);
    for (const line of early) write(line);
    send = write;
    if (!follows) response.end();
  } catch {
    response.destroy();
  }
}
