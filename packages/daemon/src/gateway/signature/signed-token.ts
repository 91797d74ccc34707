import { createHmac } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { isEqualText } from './equal-text.ts';

/**
 * Texts that only this platform can have made and that run out, so that whoever holds one needs no key. Nothing is
 * remembered for them: `<text>.<expiry in hex seconds>.<HMAC>`.
 */
export class SignedTokens {
  readonly #secret: Buffer;
  readonly #clock: Clock;

  /** The secret lives as long as tokens shall be good for; a random one per process ends them at a restart. */
  constructor(secret: Buffer, clock: Clock) {
    this.#secret = secret;
    this.#clock = clock;
  }

  /** `purpose` keeps a token made for one use from being good for another. */
  sign(purpose: string, text: string, lifetimeMs: number): string {
    const expiryS = Math.ceil((this.#clock.now() + lifetimeMs) / 1000);
    const signed = `${text}.${expiryS.toString(16)}`;
    return `${signed}.${this.derive(purpose, signed)}`;
  }

  /** The text of a token that is ours and has not run out, else undefined. */
  open(purpose: string, token: string): string | undefined {
    const macAt = token.lastIndexOf('.');
    const expiryAt = token.lastIndexOf('.', macAt - 1);
    if (macAt < 0 || expiryAt < 0) return undefined;
    const signed = token.slice(0, macAt);
    if (!isEqualText(token.slice(macAt + 1), this.derive(purpose, signed))) return undefined;
    const expiryS = Number.parseInt(token.slice(expiryAt + 1, macAt), 16);
    return expiryS * 1000 > this.#clock.now() ? token.slice(0, expiryAt) : undefined;
  }

  /** A secret that belongs to a text: the same each time, and not to be guessed. */
  derive(purpose: string, text: string): string {
    return createHmac('sha256', this.#secret).update(`${purpose}\n${text}`).digest('base64url');
  }
}
