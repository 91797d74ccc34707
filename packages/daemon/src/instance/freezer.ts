import type { Deadline, DeadlineWheel } from '../base/deadline-wheel.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

/** Takes the CPU from an idle sandbox and gives it back. When it is due is told, what happens then is not decided here. */
export class Freezer {
  readonly #wheel: DeadlineWheel;
  readonly #sandbox: Sandbox;
  readonly #graceMs: number | undefined;
  readonly #onDue: () => void;
  #deadline: Deadline | undefined;
  /** A freeze that has begun must have ended before the thaw, or it would have the last word. */
  #freezing: Promise<void> = Promise.resolve();

  /** Without a grace the sandbox is never frozen. */
  constructor(wheel: DeadlineWheel, sandbox: Sandbox, graceMs: number | undefined, onDue: () => void) {
    this.#wheel = wheel;
    this.#sandbox = sandbox;
    this.#graceMs = graceMs;
    this.#onDue = onDue;
  }

  /** The instance is idle from now on. */
  arm(): void {
    if (this.#graceMs !== undefined) this.#deadline = this.#wheel.set(this.#graceMs, this.#onDue);
  }

  disarm(): void {
    if (this.#deadline !== undefined) this.#wheel.clear(this.#deadline);
    this.#deadline = undefined;
  }

  /** Settles when every process is stopped; rejects where the sandbox cannot be. */
  freeze(): Promise<void> {
    const frozen = this.#sandbox.freeze();
    this.#freezing = frozen.catch(() => undefined);
    return frozen;
  }

  async thaw(): Promise<void> {
    await this.#freezing;
    await this.#sandbox.thaw();
  }
}
