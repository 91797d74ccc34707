import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CopiesOptions } from '../copies/layer-copies.ts';
import { childEnvironment } from '../child-environment.ts';
import type { IndexedPack } from '../trace/trace-pack.ts';
import type { DerivedImage } from './derived-images.ts';
import type { ImageSource } from './image-source.ts';

export interface ConverterOptions {
  readonly directory: string;
  readonly insecureRegistries: readonly string[];
  readonly copies: CopiesOptions | undefined;
}

/** Blocks of a mounted image that become a pack. */
export interface PackJob {
  readonly type: 'pack';
  /** Of the image. */
  readonly digest: string;
  /** That gives the image's bytes. */
  readonly path: string;
  readonly imageBytes: number;
  readonly layout: string;
  readonly blocks: Uint32Array;
}

export interface ConverterRequest extends ConverterOptions {
  readonly job: { readonly type: 'convert'; readonly source: ImageSource } | PackJob;
}

export type ConverterResult =
  | { readonly type: 'derived'; readonly derived: DerivedImage }
  | { readonly type: 'packed'; readonly pack: IndexedPack };

export type ConverterAnswer =
  | ConverterResult
  | { readonly type: 'problem'; readonly text: string }
  | { readonly type: 'failure'; readonly code: ErrorCode; readonly message: string };

const FILE = fileURLToPath(new URL('converter-main.ts', import.meta.url));
const HEAP_MEGABYTES_MAX = 2048;
const WAITING_MAX = 256;
/** A process that nobody needed after all goes. */
const SPARE_MS_MAX = 30_000;

/**
 * Converts images and packs traces one after the other, each in a process of its own; who asks for an image that is waited
 * for shares it.
 */
export class Converter {
  readonly #options: ConverterOptions;
  readonly #onProblem: (text: string) => void;
  readonly #asked = new Map<string, Promise<DerivedImage>>();
  #last: Promise<void> = Promise.resolve();
  /** Those in turn, the one that runs among them. */
  #waiting = 0;
  /** All that run, with their ends: the one that converts, one that is ready, and those that are about to end. */
  readonly #children = new Map<ChildProcess, Promise<void>>();
  #spare: { readonly child: ChildProcess; readonly timer: NodeJS.Timeout } | undefined;
  #isClosed = false;

  constructor(options: ConverterOptions, onProblem: (text: string) => void) {
    this.#options = options;
    this.#onProblem = onProblem;
  }

  /** A process starts while it is still being found out what is to be converted. */
  prepare(): void {
    if (this.#isClosed || this.#spare !== undefined || this.#waiting > 0) return;
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
    const conversion = this.#inTurn({ type: 'convert', source }, `converting image ${digest}`)
      .then((result) => {
        if (result.type !== 'derived') throw new Error(`a conversion gave something that is ${result.type}`);
        return result.derived;
      })
      .finally(() => this.#asked.delete(digest));
    this.#asked.set(digest, conversion);
    return await conversion;
  }

  /** Writes a pack and leaves it where copies of layers are. Throws what that does. */
  async pack(job: PackJob): Promise<IndexedPack> {
    const result = await this.#inTurn(job, `packing what is read of image ${job.digest}`);
    if (result.type !== 'packed') throw new Error(`packing gave something that is ${result.type}`);
    return result.pack;
  }

  /** What is under way fails with SHUTTING_DOWN. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const child of this.#children.keys()) child.kill('SIGKILL');
    await this.#last;
    await Promise.all(this.#children.values());
  }

  async #inTurn(job: ConverterRequest['job'], what: string): Promise<ConverterResult> {
    if (this.#waiting >= WAITING_MAX)
      throw new ThawError('STORE_FAILED', `${what}: ${WAITING_MAX} others wait for their conversion already`);
    this.#waiting += 1;
    const turn = this.#last.then(() => this.#run(job, what));
    this.#last = turn.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await turn;
    } finally {
      this.#waiting -= 1;
    }
  }

  #run(job: ConverterRequest['job'], what: string): Promise<ConverterResult> {
    if (this.#isClosed) return Promise.reject(new ThawError('SHUTTING_DOWN', what));
    return new Promise((resolve, reject) => {
      const child = this.#takeSpare() ?? this.#fork();
      // Nobody waits for the process to end: it has told all and written all.
      child.on('message', (message: ConverterAnswer) => {
        if (message.type === 'problem') this.#onProblem(message.text);
        else if (message.type === 'failure') reject(new ThawError(message.code, message.message));
        else resolve(message);
      });
      const end = (): void => {
        const code = this.#isClosed ? 'SHUTTING_DOWN' : 'STORE_FAILED';
        reject(new ThawError(code, `${what}: the process that does it ended`));
      };
      child.once('exit', end);
      child.once('error', end);
      child.send({ ...this.#options, job } satisfies ConverterRequest, () => undefined);
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
