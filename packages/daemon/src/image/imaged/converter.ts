import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CopiesOptions } from '../copies/layer-copies.ts';
import { childEnvironment } from '../child-environment.ts';
import type { DerivedImage } from './derived-images.ts';
import type { ImageSource } from './image-source.ts';

export interface ConverterRequest {
  readonly source: ImageSource;
  readonly directory: string;
  readonly insecureRegistries: readonly string[];
  readonly copies: CopiesOptions | undefined;
}

export type ConverterAnswer =
  | { readonly problem: string }
  | { readonly derived: DerivedImage }
  | { readonly code: ErrorCode; readonly message: string };

const FILE = fileURLToPath(new URL('converter-main.ts', import.meta.url));
const HEAP_MEGABYTES_MAX = 2048;
const WAITING_MAX = 256;
/** A process that nobody needed after all goes. */
const SPARE_MS_MAX = 30_000;

/** Converts images one after the other, each in a process of its own; who asks for one that is waited for shares it. */
export class Converter {
  readonly #options: Omit<ConverterRequest, 'source'>;
  readonly #onProblem: (text: string) => void;
  readonly #asked = new Map<string, Promise<DerivedImage>>();
  #last: Promise<unknown> = Promise.resolve();
  /** All that run, with their ends: the one that converts, one that is ready, and those that are about to end. */
  readonly #children = new Map<ChildProcess, Promise<void>>();
  #spare: { readonly child: ChildProcess; readonly timer: NodeJS.Timeout } | undefined;
  #isClosed = false;

  constructor(options: Omit<ConverterRequest, 'source'>, onProblem: (text: string) => void) {
    this.#options = options;
    this.#onProblem = onProblem;
  }

  /** A process starts while it is still being found out what is to be converted. */
  prepare(): void {
    if (this.#isClosed || this.#spare !== undefined || this.#asked.size > 0) return;
    const child = this.#fork();
    const timer = setTimeout(() => child.kill('SIGKILL'), SPARE_MS_MAX);
    this.#spare = { child, timer };
    void this.#children.get(child)?.then(() => {
      clearTimeout(timer);
      if (this.#spare?.child === child) this.#spare = undefined;
    });
  }

  /** Throws what the conversion does. */
  async convert(source: ImageSource): Promise<DerivedImage> {
    const { digest } = source.image;
    const underWay = this.#asked.get(digest);
    if (underWay !== undefined) return await underWay;
    if (this.#asked.size >= WAITING_MAX)
      throw new ThawError('STORE_FAILED', `${WAITING_MAX} images wait for their conversion already`);
    const conversion = this.#last
      .catch(() => undefined)
      .then(() => this.#run(source))
      .finally(() => this.#asked.delete(digest));
    this.#asked.set(digest, conversion);
    this.#last = conversion.catch(() => undefined);
    return await conversion;
  }

  /** What is under way fails with SHUTTING_DOWN. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const child of this.#children.keys()) child.kill('SIGKILL');
    await this.#last;
    await Promise.all(this.#children.values());
  }

  #run(source: ImageSource): Promise<DerivedImage> {
    const { digest } = source.image;
    if (this.#isClosed) return Promise.reject(new ThawError('SHUTTING_DOWN', `converting image ${digest}`));
    return new Promise((resolve, reject) => {
      const child = this.#takeSpare() ?? this.#fork();
      // Nobody waits for the process to end: it has told all and written all.
      child.on('message', (message: ConverterAnswer) => {
        if ('problem' in message) this.#onProblem(message.problem);
        else if ('code' in message) reject(new ThawError(message.code, message.message));
        else resolve(message.derived);
      });
      const end = (): void => {
        const code = this.#isClosed ? 'SHUTTING_DOWN' : 'STORE_FAILED';
        reject(new ThawError(code, `the process that converts image ${digest} ended`));
      };
      child.once('exit', end);
      child.once('error', end);
      child.send({ ...this.#options, source } satisfies ConverterRequest, () => undefined);
    });
  }

  #takeSpare(): ChildProcess | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    clearTimeout(spare?.timer);
    return spare?.child.connected === true ? spare.child : undefined;
  }

  #fork(): ChildProcess {
    const child = fork(FILE, [], {
      execArgv: [`--max-old-space-size=${HEAP_MEGABYTES_MAX}`],
      env: childEnvironment(),
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const ended = new Promise<void>((resolve) => {
      const end = (): void => {
        this.#children.delete(child);
        resolve();
      };
      child.once('exit', end);
      child.once('error', end);
    });
    this.#children.set(child, ended);
    return child;
  }
}
