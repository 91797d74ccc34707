import type { ExchangeFailure, ReportedError, ResponseSink } from '../transport.ts';

/** A hook's answer has no content; all that counts is that it came. */
export class HookSink implements ResponseSink {
  readonly #onEnd: (error: ReportedError | undefined) => void;

  constructor(onEnd: (error: ReportedError | undefined) => void) {
    this.#onEnd = onEnd;
  }

  onHead(): void {
    // Nobody reads it.
  }

  onData(): boolean {
    return true;
  }

  onEnd(): void {
    this.#onEnd(undefined);
  }

  onFailure(failure: ExchangeFailure): void {
    if (failure.kind === 'reported') this.#onEnd(failure.error);
    else
      this.#onEnd({
        errorType: 'ProcessExited',
        errorMessage: 'its process ended',
        handled: false,
        fatal: true,
      });
  }

  onLog(): void {
    // These APIs carry no logs.
  }
}
