import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ReportedError } from '../transport.ts';
import { reportedError } from './reported-error.ts';
import type { RuntimeDialect } from './runtime-dialect.ts';

/** The error that Lambda's streaming mode sends behind the body: its type in one trailer, JSON in base64 in another. */
export function trailingError(request: IncomingMessage): ReportedError | undefined {
  const type = request.trailers['lambda-runtime-function-error-type'];
  if (type === undefined) return undefined;
  const body = Buffer.from(request.trailers['lambda-runtime-function-error-body'] ?? '', 'base64');
  return reportedError({ 'lambda-runtime-function-error-type': type }, body);
}

/** Calls back once, with a whole body or with why there is none. */
export function collect(
  request: IncomingMessage,
  bytesMax: number,
  onDone: (body: Buffer | 'too large' | 'broken') => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= bytesMax) chunks.push(chunk);
  });
  request.once('end', () => onDone(bytes > bytesMax ? 'too large' : Buffer.concat(chunks, bytes)));
  request.once('close', () => {
    if (!request.readableEnded) onDone('broken');
  });
  request.once('error', () => undefined);
}

export function accept(response: ServerResponse, { acceptedStatus }: RuntimeDialect): void {
  send(response, acceptedStatus, { status: 'OK' });
}

export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  errorType: string,
  errorMessage: string,
): void {
  request.resume();
  send(response, status, { errorMessage, errorType });
}

function send(response: ServerResponse, status: number, body: Readonly<Record<string, string>>): void {
  const text = `${JSON.stringify(body)}\n`;
  const headers = ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(text))];
  response.writeHead(status, headers).end(text);
}
