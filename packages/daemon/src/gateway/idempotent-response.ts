import { validateHeaderName, validateHeaderValue, type ServerResponse } from 'node:http';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isBodylessAnswer } from '../model/bodyless-answer.ts';
import type { Invocation, InvocationResponder } from '../invocation/invocation.ts';
import type { ResponseHead } from '../transport/transport.ts';
import { ANSWER_BYTES_MAX, type IdempotentTurn } from './idempotent-calls.ts';
import { InvocationResponse, isReservedHeader, type AnswerForm } from './invocation-response.ts';

/**
 * Answers the first call of an idempotency key: it goes out as it comes, like any other, and what tells the caller that
 * it is whole waits until it is on disk: the end, or with a known length the last bytes. A caller that goes away does not
 * end the run: it is the one that will ask again.
 */
export class IdempotentResponse implements InvocationResponder {
  readonly #response: ServerResponse;
  readonly #form: AnswerForm;
  readonly #turn: IdempotentTurn;
  readonly #answer: InvocationResponse;
  #invocation: Invocation | undefined;
  #head: ResponseHead | undefined;
  /** What the answer has when it is whole, where its head says so. */
  #wholeBytes: number | undefined;
  /** What would make it whole, until it is kept. */
  #held: (() => unknown)[] = [];
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(response: ServerResponse, form: AnswerForm, turn: IdempotentTurn) {
    this.#response = response;
    this.#form = form;
    this.#turn = turn;
    this.#answer = new InvocationResponse(response, form);
  }

  follow(invocation: Invocation): void {
    this.#invocation = invocation;
    // Nobody reads any more, so nothing has to wait for a reader.
    this.#answer.follow(invocation, () => invocation.resume());
  }

  onHead(head: ResponseHead): void {
    this.#head = head;
    this.#wholeBytes = this.#isBodyless(head) ? 0 : lengthOf(head);
    if (this.#wholeBytes === 0) this.#held.push(() => this.#answer.onHead(head));
    else if (!this.#response.destroyed) this.#answer.onHead(head);
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes <= ANSWER_BYTES_MAX) this.#chunks.push(chunk);
    else this.#chunks = [];
    if (this.#response.destroyed) return true;
    if (this.#wholeBytes === undefined || this.#bytes < this.#wholeBytes) return this.#answer.onData(chunk);
    // More than was promised is a broken answer already, and its bytes are nobody's.
    if (this.#bytes - chunk.length > this.#wholeBytes) return true;
    this.#held.push(() => this.#answer.onData(chunk));
    return true;
  }

  onEnd(): void {
    const invocation = this.#invocation;
    const head = this.#head;
    if (invocation === undefined || head === undefined || !this.#isSound(head)) {
      this.#turn.release();
      this.#end(() => this.#answer.onEnd());
      return;
    }
    const rawHeaders = this.#form.headers(head, invocation);
    const isBodyless = this.#isBodyless(head);
    for (let at = 0; at + 1 < head.rawHeaders.length; at += 2) {
      const name = head.rawHeaders[at] ?? '';
      const lowerName = name.toLowerCase();
      if (isReservedHeader(lowerName) || (lowerName === 'content-length' && !isBodyless)) continue;
      rawHeaders.push(name, head.rawHeaders[at + 1] ?? '');
    }
    const body = this.#bytes > ANSWER_BYTES_MAX ? {} : { body: Buffer.concat(this.#chunks) };
    this.#keepThen({ status: this.#form.status(head), rawHeaders, ...body }, () => this.#answer.onEnd());
  }

  onFailure(error: ThawError, invocation: Invocation): void {
    const tell = (): void => this.#answer.onFailure(error, invocation);
    // What makes an answer whole does not go before what says that it is broken.
    this.#held = [];
    // What the platform refuses or breaks, and an answer that breaks off, is no answer to keep.
    if (error.fault !== 'function' || this.#head !== undefined) {
      this.#turn.release();
      this.#end(tell);
      return;
    }
    const { status, headers, body } = this.#form.failure(error, invocation);
    this.#keepThen({ status, rawHeaders: headers, body }, tell);
  }

  #keepThen(answer: Parameters<IdempotentTurn['keep']>[0], tell: () => void): void {
    void this.#turn.keep(answer).then(() => this.#end(tell));
  }

  #end(tell: () => void): void {
    for (const pass of this.#held) if (!this.#response.destroyed) pass();
    if (!this.#response.destroyed) tell();
  }

  #isBodyless(head: ResponseHead): boolean {
    const status = this.#form.status(head);
    return isBodylessAnswer(this.#response.req.method, status);
  }

  /** Whether HTTP can carry it, and all came that the function had promised. */
  #isSound(head: ResponseHead): boolean {
    try {
      for (let at = 0; at + 1 < head.rawHeaders.length; at += 2) {
        const name = head.rawHeaders[at] ?? '';
        validateHeaderName(name);
        validateHeaderValue(name, head.rawHeaders[at + 1] ?? '');
      }
    } catch {
      return false;
    }
    const length = this.#isBodyless(head) ? undefined : lengthOf(head);
    if (length !== undefined && length !== this.#bytes) return false;
    const status = this.#form.status(head);
    return status >= 200 && status <= 999;
  }
}

/** What the function says of its body's length. */
function lengthOf({ rawHeaders }: ResponseHead): number | undefined {
  const at = rawHeaders.findIndex(
    (name, index) => index % 2 === 0 && name.toLowerCase() === 'content-length',
  );
  return at === -1 ? undefined : Number(rawHeaders[at + 1]);
}
