import { TIMELINE_PHASES, type Timeline } from '@thaw/protocol/timeline.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { atTurnEnd, type TurnEndListener } from '../base/turn-end.ts';
import { isBodylessAnswer } from '../model/bodyless-answer.ts';
import type { Invocation, InvocationResponder } from '../invocation/invocation.ts';
import type { ResponseHead } from '../transport/transport.ts';
import type { CallerAnswer } from './door.ts';
import { endAnswer } from './end-answer.ts';

/** How a door dresses the answer of an invocation. */
export interface AnswerForm {
  /** Of a success; what the function itself said is in the head. */
  status(head: ResponseHead): number;
  /** Headers of a success, flat, besides the function's own. */
  headers(head: ResponseHead, invocation: Invocation): string[];
  /** A failure as status, flat headers and body. */
  failure(error: ThawError, invocation: Invocation): { status: number; headers: string[]; body: Buffer };
}

/** So much of a body is held until the end of the turn. */
const HELD_BYTES_MAX = 256 * 1024;

/**
 * Writes an invocation's answer to the caller's connection. Head and first bytes are held until the end of the turn:
 * an answer that came whole leaves in one write with its length, any other is streamed as it comes.
 */
export class InvocationResponse implements InvocationResponder, TurnEndListener {
  readonly #response: CallerAnswer;
  readonly #form: AnswerForm;
  #invocation: Invocation | undefined;
  #head: ResponseHead | undefined;
  /** The first bytes of the body as they came: nearly always none or one buffer. */
  #held: Buffer | undefined;
  #heldNext: Buffer[] | undefined;
  #heldBytes = 0;
  #headSent = false;
  /** Of a `Content-Length` that the function promised, what it has not sent yet. */
  #promisedBytes: number | undefined;

  constructor(response: CallerAnswer, form: AnswerForm) {
    this.#response = response;
    this.#form = form;
  }

  /** Ties the two together: a caller that goes away cancels, one that reads slowly pauses the function. */
  follow(invocation: Invocation, onGone = (): void => invocation.cancel()): void {
    this.#invocation = invocation;
    this.#response.on('drain', () => invocation.resume());
    this.#response.on('close', () => {
      if (!this.#response.writableFinished) onGone();
    });
    invocation.start();
  }

  onHead(head: ResponseHead): void {
    this.#head = head;
    atTurnEnd(this);
  }

  onTurnEnd(): void {
    this.#flush();
  }

  onData(chunk: Buffer): boolean {
    if (!this.#headSent && this.#heldBytes + chunk.length <= HELD_BYTES_MAX) {
      this.#hold(chunk);
      return true;
    }
    this.#flush();
    return this.#write(chunk);
  }

  onEnd(): void {
    if (this.#headSent) {
      // Less than was promised: the caller must not take it for the whole.
      if ((this.#promisedBytes ?? 0) > 0) this.#response.destroy();
      else endAnswer(this.#response, EMPTY);
      return;
    }
    const length = this.#isBodyless() ? undefined : this.#heldBytes;
    if (!this.#sendHead(length)) return;
    const first = this.#held ?? EMPTY;
    const last = this.#heldNext?.pop();
    if (last !== undefined) {
      this.#response.write(first);
      for (const piece of this.#heldNext ?? []) this.#response.write(piece);
    }
    endAnswer(this.#response, last ?? first);
  }

  onFailure(error: ThawError, invocation: Invocation): void {
    if (this.#headSent) {
      this.#response.destroy();
      return;
    }
    this.#head = undefined;
    this.#letGo();
    const { status, headers, body } = this.#form.failure(error, invocation);
    this.#headSent = true;
    headers.push('Content-Length', String(body.length), 'Server-Timing', serverTiming(invocation.timeline));
    this.#response.writeHead(status, headers);
    endAnswer(this.#response, body);
  }

  #hold(chunk: Buffer): void {
    this.#heldBytes += chunk.length;
    if (this.#held === undefined) this.#held = chunk;
    else (this.#heldNext ??= []).push(chunk);
  }

  #letGo(): void {
    this.#held = undefined;
    this.#heldNext = undefined;
    this.#heldBytes = 0;
  }

  #flush(): void {
    if (this.#headSent || this.#head === undefined || this.#response.destroyed) return;
    if (!this.#sendHead(undefined)) return;
    const first = this.#held;
    const next = this.#heldNext ?? [];
    this.#letGo();
    // The head leaves with the first bytes where there are any.
    if (first === undefined) this.#response.flushHeaders();
    else this.#write(first);
    for (const piece of next) this.#write(piece);
  }

  #write(chunk: Buffer): boolean {
    if (this.#promisedBytes !== undefined) {
      this.#promisedBytes -= chunk.length;
      if (this.#promisedBytes < 0) {
        this.#response.destroy();
        return true;
      }
    }
    return this.#response.write(chunk);
  }

  /** `wholeLength` is the length of a body that is complete; otherwise the function's own promise holds. */
  #sendHead(wholeLength: number | undefined): boolean {
    const head = this.#head;
    const invocation = this.#invocation;
    if (head === undefined || invocation === undefined) return false;
    const headers = this.#form.headers(head, invocation);
    const keepsLength = wholeLength === undefined;
    for (let at = 0; at + 1 < head.rawHeaders.length; at += 2) {
      const name = head.rawHeaders[at] ?? '';
      const value = head.rawHeaders[at + 1] ?? '';
      const lowerName = name.toLowerCase();
      if (lowerName === 'content-length') {
        if (!keepsLength) continue;
        if (!this.#isBodyless()) this.#promisedBytes = Number(value);
      } else if (isReservedHeader(lowerName)) {
        continue;
      }
      headers.push(name, value);
    }
    if (wholeLength !== undefined) headers.push('Content-Length', String(wholeLength));
    headers.push('Server-Timing', serverTiming(invocation.timeline));
    try {
      this.#response.writeHead(this.#form.status(head), headers);
    } catch (error) {
      // A name or value that HTTP does not allow.
      this.#head = undefined;
      const name = invocation.request.runnable.functionName;
      const message = `function '${name}' answered with a header that HTTP does not allow`;
      this.onFailure(new ThawError('RESPONSE_INVALID', message, { cause: error }), invocation);
      return false;
    }
    this.#headSent = true;
    return true;
  }

  #isBodyless(): boolean {
    const status = this.#head === undefined ? undefined : this.#form.status(this.#head);
    return isBodylessAnswer(this.#response.req.method, status);
  }
}

const EMPTY = Buffer.alloc(0);

/** Set by the platform or by HTTP itself, whatever the function says (FC's list). */
const RESERVED: ReadonlySet<string> = new Set([
  'connection',
  'date',
  'keep-alive',
  'proxy-connection',
  'server',
  'server-timing',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export function isReservedHeader(lowerName: string): boolean {
  return RESERVED.has(lowerName) || lowerName.startsWith('x-fc-');
}

/** The timeline as a `Server-Timing` value: phases in their order, milliseconds. */
export function serverTiming(timeline: Timeline): string {
  let text = '';
  for (const phase of TIMELINE_PHASES) {
    const ms = timeline[phase];
    if (ms === undefined) continue;
    if (text !== '') text += ', ';
    const us = Math.max(0, Math.round(ms * 1000));
    text += `${phase};dur=${Math.floor(us / 1000)}.${THOUSANDTHS[us % 1000]}`;
  }
  return text;
}

/** `000` to `999`: making decimals of numbers took as long as all else in a head. */
const THOUSANDTHS: readonly string[] = Array.from({ length: 1000 }, (_, at) => String(at).padStart(3, '0'));
