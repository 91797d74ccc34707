import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { Arrival, Door } from '../../gateway/door.ts';
import { endAnswer } from '../../gateway/end-answer.ts';
import { plainHeaders } from '../../gateway/plain-headers.ts';
import type { ControlResponse } from './control-request.ts';
import type { FcDoor } from './fc-door.ts';

/** The control API on the platform's listener: takes requests off sockets and puts answers on them. */
export class FcControlDoor implements Door {
  readonly #door: FcDoor;

  constructor(door: FcDoor) {
    this.#door = door;
  }

  owns(_method: string, path: string): boolean {
    return this.#door.accepts(path);
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    const { path, query, requestId } = arrival;
    const method = request.method ?? 'GET';
    // The door answers whatever happens, so there is no rejection to take care of.
    void this.#door
      .handle({ method, path, query, headers: plainHeaders(request), body: request, requestId })
      .then((answer) => sendControlResponse(response, answer));
  }
}

export function sendControlResponse(
  response: ServerResponse,
  { status, headers, body }: ControlResponse,
): void {
  if (body instanceof Readable) {
    response.writeHead(status, headers);
    response.once('close', () => body.destroy());
    body.once('error', () => response.destroy());
    body.pipe(response);
    return;
  }
  const bytes = Buffer.from(body);
  // A 204 has no body, so it announces no length either (RFC 9110, section 8.6).
  response.writeHead(
    status,
    status === 204 ? headers : { ...headers, 'content-length': String(bytes.length) },
  );
  endAnswer(response, bytes);
}
