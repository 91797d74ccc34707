import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Invocation, InvocationResponder } from '../invocation/invocation.ts';
import type { ResponseHead } from '../transport/transport.ts';
import { InvocationResponse, isReservedHeader, type AnswerForm } from './invocation-response.ts';

/**
 * Whether a caller asks to go on with another protocol and could. HTTP/2 is asked for by clients that are as content
 * without (RFC 9113 has dropped it), and a request with a body would have to be read first.
 */
export function asksForUpgrade({ headers }: IncomingMessage): boolean {
  const { upgrade } = headers;
  if (upgrade === undefined || /^h2c?$/i.test(upgrade.trim())) return false;
  return headers['content-length'] === undefined && headers['transfer-encoding'] === undefined;
}

/** What node:http does not make for such a request: a response on its connection, which closes with the answer. */
export function responseOn(request: IncomingMessage, socket: Socket): ServerResponse {
  // It has no body; node:http leaves it unfinished because bytes may follow that are not HTTP.
  request.complete = true;
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => socket.end());
  return response;
}

/**
 * Answers a caller that asked for an upgrade. When the function switches protocols, the connection carries the bytes of
 * both until either ends it, and the slot is taken for as long; any other answer is an ordinary one.
 */
export class UpgradeResponse implements InvocationResponder {
  readonly #socket: Socket;
  readonly #form: AnswerForm;
  readonly #answer: InvocationResponse;
  #isSwitched = false;

  constructor(socket: Socket, response: ServerResponse, form: AnswerForm) {
    this.#socket = socket;
    this.#form = form;
    this.#answer = new InvocationResponse(response, form);
  }

  /** A connection that closes cancels, one that is read slowly pauses the function. */
  follow(invocation: Invocation): void {
    this.#socket.on('drain', () => invocation.resume());
    this.#answer.follow(invocation);
  }

  onHead(head: ResponseHead, invocation: Invocation): void {
    if (head.status !== 101) {
      this.#answer.onHead(head);
      return;
    }
    this.#isSwitched = true;
    this.#socket.write(switchingHead(head, this.#form.headers(head, invocation)), 'latin1');
  }

  onData(chunk: Buffer): boolean {
    return this.#isSwitched ? this.#socket.write(chunk) : this.#answer.onData(chunk);
  }

  onEnd(): void {
    if (this.#isSwitched) this.#socket.destroySoon();
    else this.#answer.onEnd();
  }

  onFailure(error: ThawError, invocation: Invocation): void {
    if (this.#isSwitched) this.#socket.destroy();
    else this.#answer.onFailure(error, invocation);
  }
}

function switchingHead({ rawHeaders }: ResponseHead, ours: readonly string[]): string {
  let text = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n';
  for (let at = 0; at + 1 < ours.length; at += 2) text += `${ours[at]}: ${ours[at + 1]}\r\n`;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const lowerName = (rawHeaders[at] ?? '').toLowerCase();
    if (lowerName !== 'upgrade' && isReservedHeader(lowerName)) continue;
    text += `${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`;
  }
  return `${text}\r\n`;
}
