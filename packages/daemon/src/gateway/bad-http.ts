import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';

interface ParserError extends Error {
  readonly code?: string;
}

/**
 * What is not HTTP, or too much of it, gets an answer that says so before the connection closes. `last` is the response
 * to the last whole request on the connection: words of ours must not get into the middle of what it or one before it
 * is sending.
 */
export function answerBadHttp(error: ParserError, socket: Duplex, last: ServerResponse | undefined): void {
  if (!socket.writable || (last !== undefined && isUnderWay(last))) {
    socket.destroy();
    return;
  }
  const [status, code, message] = CLIENT_ERRORS[error.code ?? ''] ?? [
    '400 Bad Request',
    'InvalidArgument',
    'the request is not valid HTTP',
  ];
  refuseSocket(socket, status, code, message);
}

/** A refusal where node:http gives a bare connection. */
export function refuseSocket(socket: Duplex, status: string, code: string, message: string): void {
  const body = JSON.stringify({ RequestId: '', Code: code, Message: message });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** A response that has no socket yet waits for one before it on the same connection. */
function isUnderWay(response: ServerResponse): boolean {
  return !response.writableFinished && (response.headersSent || response.socket === null);
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [string, string, string] | undefined>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'RequestHeaderTooLarge',
    `the headers are larger than ${LIMITS.requestHeaderBytesMax} bytes`,
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [
    '413 Content Too Large',
    'EntityTooLarge',
    'the extensions of a chunk are too large',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'RequestTimeout', 'the headers did not come in time'],
};
