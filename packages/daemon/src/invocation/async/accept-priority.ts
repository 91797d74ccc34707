/** Callers that wait for the disk at once before anything holds back for them. */
const ACCEPTING_FEW = 8;
/** They come in waves, as commits answer them: so long after the last wave there are still many. */
export const WAVE_MS = 20;
/** Tasks begun for each one that was accepted meanwhile. */
const BEGUN_PER_ACCEPTED = 0.25;
/** What a moment in which nothing could be begun leaves for the next. */
const CREDIT_MAX = 64;

/**
 * Accepting goes before working off: whoever enqueues waits for the disk, and nobody waits for what is in line already.
 * While many are being accepted, tasks are begun at a share of that, however cheap they are; otherwise at full speed. So
 * a long line never keeps acceptance down, and never stands still either.
 */
export class AcceptPriority {
  #accepting = 0;
  #manyUntilMs = -Infinity;
  #credit = 0;

  noteAsked(nowMs: number): void {
    this.#accepting += 1;
    if (this.#accepting > ACCEPTING_FEW) this.#manyUntilMs = nowMs + WAVE_MS;
  }

  noteAnswered(isAccepted: boolean): void {
    this.#accepting -= 1;
    if (isAccepted) this.#credit = Math.min(CREDIT_MAX, this.#credit + BEGUN_PER_ACCEPTED);
  }

  mayBegin(nowMs: number): boolean {
    return this.#credit >= 1 || (this.#accepting <= ACCEPTING_FEW && nowMs >= this.#manyUntilMs);
  }

  noteBegun(): void {
    this.#credit = Math.max(0, this.#credit - 1);
  }
}
