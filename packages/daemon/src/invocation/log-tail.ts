import { LIMITS } from '@thaw/protocol/limits.ts';

/** The last bytes of one invocation's log, between FC's start and end lines, for `x-fc-log-result`. */
export class LogTail {
  readonly #requestId: string;
  #text = '';

  constructor(requestId: string) {
    this.#requestId = requestId;
  }

  append(text: string): void {
    this.#text += text;
    // Trimmed now and then, so that a talkative function does not copy its tail for every line.
    if (this.#text.length > LIMITS.logTailBytesMax * 4)
      this.#text = this.#text.slice(-LIMITS.logTailBytesMax);
  }

  /** At most 4 KiB, as base64. */
  encode(): string {
    const lines = this.#text === '' || this.#text.endsWith('\n') ? this.#text : `${this.#text}\n`;
    const whole = Buffer.from(
      `FC Invoke Start RequestId: ${this.#requestId}\n${lines}FC Invoke End RequestId: ${this.#requestId}\n`,
    );
    let start = Math.max(0, whole.length - LIMITS.logTailBytesMax);
    // Never in the middle of a character.
    while (((whole[start] ?? 0) & 0xc0) === 0x80) start += 1;
    return whole.subarray(start).toString('base64');
  }
}
