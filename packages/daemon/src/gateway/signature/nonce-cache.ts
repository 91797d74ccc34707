import type { Clock } from '../../base/clock.ts';

/** Nonces in one generation. Two generations of these take some 60 MB at most. */
export const NONCES_PER_GENERATION_MAX = 262_144;

interface Generation {
  readonly nonces: Set<string>;
  readonly startedAtMs: number;
}

/**
 * Remembers which nonces were used, in two generations: the older one is dropped as a whole when the newer one is as
 * old as a request may live, or is full.
 *
 * A request whose signing clock may be off by `skew` either way stays valid for twice that long, so this much must be
 * remembered. Where more requests come than fit, a generation is dropped early; then the skew that is allowed shrinks
 * to half of what is still remembered. Nothing that was forgotten can be replayed.
 */
export class NonceCache {
  readonly #clock: Clock;
  readonly #skewMs: number;
  readonly #noncesMax: number;
  #current: Generation;
  #previous: Generation | undefined;
  #hasForgottenEarly = false;

  constructor(clock: Clock, skewMs: number, noncesMax = NONCES_PER_GENERATION_MAX) {
    this.#clock = clock;
    this.#skewMs = skewMs;
    this.#noncesMax = noncesMax;
    this.#current = { nonces: new Set(), startedAtMs: clock.monotonicMs() };
  }

  /** How far a signing clock may be off now, either way, in milliseconds. */
  skewAllowedMs(): number {
    this.#rotateWhenOld();
    if (!this.#hasForgottenEarly) return this.#skewMs;
    const rememberedMs = this.#clock.monotonicMs() - (this.#previous ?? this.#current).startedAtMs;
    return Math.min(this.#skewMs, rememberedMs / 2);
  }

  /** Whether the nonce is new; it counts as used from now on. */
  use(nonce: string): boolean {
    this.#rotateWhenOld();
    if (this.#current.nonces.has(nonce) || this.#previous?.nonces.has(nonce) === true) return false;
    if (this.#current.nonces.size >= this.#noncesMax) this.#rotate(true);
    this.#current.nonces.add(nonce);
    return true;
  }

  #rotateWhenOld(): void {
    if (this.#clock.monotonicMs() - this.#current.startedAtMs >= 2 * this.#skewMs) this.#rotate(false);
  }

  #rotate(isEarly: boolean): void {
    // Only what is dropped is forgotten; filling the first generation forgets nothing.
    if (isEarly && this.#previous !== undefined) this.#hasForgottenEarly = true;
    if (!isEarly) this.#hasForgottenEarly = false;
    this.#previous = this.#current;
    this.#current = { nonces: new Set(), startedAtMs: this.#clock.monotonicMs() };
  }
}
