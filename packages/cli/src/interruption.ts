import { exitCodeOfSignal } from './exit-code.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Turns the first signal into an aborted `AbortSignal`, so that a command closes what it opened. A second one ends the
 * process at once: whoever presses Ctrl-C twice means it.
 */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #handlers = new Map<NodeJS.Signals, () => void>();
  #received: NodeJS.Signals | undefined;

  constructor() {
    for (const name of SIGNALS) {
      const handler = (): void => this.#receive(name);
      this.#handlers.set(name, handler);
      process.on(name, handler);
    }
    process.on('disconnect', this.#onDisconnect);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The exit code that the interruption calls for; undefined while there was none. */
  get exitCode(): number | undefined {
    return this.#received === undefined ? undefined : exitCodeOfSignal(this.#received);
  }

  [Symbol.dispose](): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
    process.off('disconnect', this.#onDisconnect);
  }

  /** The wrapper of bin/thaw.mjs has gone, and with it whoever could have signalled. */
  readonly #onDisconnect = (): void => this.#receive('SIGHUP');

  #receive(name: NodeJS.Signals): void {
    if (this.#received !== undefined) process.exit(exitCodeOfSignal(name));
    this.#received = name;
    this.#controller.abort();
  }
}
