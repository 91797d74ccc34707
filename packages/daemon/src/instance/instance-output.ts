import { createServer, type Server } from 'node:net';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { LogSource } from '../transport/transport.ts';
import { listenOn } from './listen-on.ts';
import { readOutput } from './output-reader.ts';

/** After the exit, until the last output has been read. */
const OUTPUT_MS_MAX = 500;
const STDERR_TAIL_CHARACTERS = 2048;

/** What an instance's processes write to their file descriptors 1 and 2, as opposed to what a shim sends over the link. */
export class InstanceOutput {
  readonly #wheel: DeadlineWheel;
  readonly #server: Server;
  readonly #onAllClosed = new Set<() => void>();
  #open = 0;
  #stderrTail = '';

  constructor(wheel: DeadlineWheel, onText: (source: LogSource, text: string) => void) {
    this.#wheel = wheel;
    this.#server = createServer();
    this.#server.on('connection', (socket) => {
      this.#open += 1;
      socket.on('close', () => {
        this.#open -= 1;
        if (this.#open === 0) for (const onClosed of this.#onAllClosed) onClosed();
      });
    });
    readOutput(this.#server, (source, text) => {
      if (source === 'stderr') this.#stderrTail = (this.#stderrTail + text).slice(-STDERR_TAIL_CHARACTERS);
      onText(source, text);
    });
  }

  /** The last of standard error: what a dying runtime says. */
  get stderrTail(): string {
    return this.#stderrTail;
  }

  listen(path: string): Promise<void> {
    return listenOn(this.#server, path);
  }

  /** Settles when both streams have ended, which they do with the last process, or when the bound has passed. */
  ended(): Promise<void> {
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#wheel.clear(limit);
        this.#onAllClosed.delete(done);
        resolve();
      };
      const limit = this.#wheel.set(OUTPUT_MS_MAX, done);
      this.#onAllClosed.add(done);
    });
  }

  close(): void {
    this.#server.close();
  }
}
