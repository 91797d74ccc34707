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

/** Converts images one after the other, each in a process of its own; who asks for one that is waited for shares it. */
export class Converter {
  readonly #options: Omit<ConverterRequest, 'source'>;
  readonly #onProblem: (text: string) => void;
  readonly #asked = new Map<string, Promise<DerivedImage>>();
  #last: Promise<unknown> = Promise.resolve();
  #child: ChildProcess | undefined;
  #isClosed = false;

  constructor(options: Omit<ConverterRequest, 'source'>, onProblem: (text: string) => void) {
    this.#options = options;
    this.#onProblem = onProblem;
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
    this.#child?.kill('SIGKILL');
    await this.#last;
  }

  #run(source: ImageSource): Promise<DerivedImage> {
    const { digest } = source.image;
    if (this.#isClosed) return Promise.reject(new ThawError('SHUTTING_DOWN', `converting image ${digest}`));
    return new Promise((resolve, reject) => {
      const child = fork(FILE, [], {
        execArgv: [`--max-old-space-size=${HEAP_MEGABYTES_MAX}`],
        env: childEnvironment(),
        serialization: 'advanced',
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      this.#child = child;
      let answer: Exclude<ConverterAnswer, { readonly problem: string }> | undefined;
      child.on('message', (message: ConverterAnswer) => {
        if ('problem' in message) this.#onProblem(message.problem);
        else answer = message;
      });
      const end = (): void => {
        this.#child = undefined;
        if (answer === undefined) {
          const code = this.#isClosed ? 'SHUTTING_DOWN' : 'STORE_FAILED';
          reject(new ThawError(code, `the process that converts image ${digest} ended`));
        } else if ('code' in answer) {
          reject(new ThawError(answer.code, answer.message));
        } else {
          resolve(answer.derived);
        }
      };
      child.once('exit', end);
      child.once('error', end);
      child.send({ ...this.#options, source } satisfies ConverterRequest, () => undefined);
    });
  }
}
