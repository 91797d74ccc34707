import type { IncomingMessage, ServerResponse } from 'node:http';
import { isAbsolute } from 'node:path';
import { createInterface } from 'node:readline';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { z } from 'zod';

export interface LiveSession {
  /** The directory changed. */
  bump(): void;
  close(): void;
}

export interface LiveFunctions {
  /** Throws FUNCTION_NOT_FOUND, INVALID_ARGUMENT (no such directory). */
  startLive(functionName: string, directory: string): Promise<LiveSession>;
}

const LINE_CHARACTERS_MAX = 8 * 1024;
const firstLineSchema = z.object({ directory: z.string().refine(isAbsolute, 'must be an absolute path') });

/**
 * A development session: LATEST of the function runs from a directory of this machine for as long as the connection is
 * open. The first line names the directory, each later one says that it changed; every line is answered
 * with the number of changes so far, once they are in force.
 */
export function serveLive(
  functions: LiveFunctions,
  functionName: string,
  request: IncomingMessage,
  response: ServerResponse,
  stopping: AbortSignal,
): void {
  let session: Promise<LiveSession> | undefined;
  let revision = 0;
  const lines = createInterface({ input: request, crlfDelay: Infinity });
  const answer = (value: unknown): void => {
    if (!response.headersSent) response.writeHead(200, ['Content-Type', 'application/x-ndjson']);
    response.write(`${JSON.stringify(value)}\n`);
  };
  const onLine = async (line: string): Promise<void> => {
    if (line.length > LINE_CHARACTERS_MAX) throw new ThawError('INVALID_ARGUMENT', 'a line is too long');
    session ??= start(functions, functionName, line);
    (await session).bump();
    revision += 1;
    answer({ revision: String(revision) });
  };
  lines.on('line', (line) => {
    onLine(line).catch((thrown: unknown) => {
      const error = ThawError.from(thrown, 'serving a live session');
      const body = { RequestId: '', Code: error.code, Message: error.message };
      if (!response.headersSent) response.writeHead(error.status, ['Content-Type', 'application/json']);
      response.end(JSON.stringify(body));
    });
  });
  const stop = (): void => lines.close();
  // A developer may think for longer than a connection may usually idle.
  request.socket.setTimeout(0);
  lines.on('error', stop);
  stopping.addEventListener('abort', stop, { once: true });
  lines.once('close', () => response.end());
  response.once('close', () => {
    stopping.removeEventListener('abort', stop);
    lines.close();
    session?.then(
      (open) => open.close(),
      () => undefined,
    );
  });
}

async function start(functions: LiveFunctions, functionName: string, line: string): Promise<LiveSession> {
  const parsed = firstLineSchema.safeParse(parseJson(line));
  if (!parsed.success) {
    throw new ThawError('INVALID_ARGUMENT', 'the first line must be JSON with an absolute "directory"', {
      cause: parsed.error,
    });
  }
  return functions.startLive(functionName, parsed.data.directory);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
