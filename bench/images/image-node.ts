import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { jsonOf, send } from '../../e2e/support/http-call.ts';
import { sign } from '../../e2e/support/signed-call.ts';
import type { BenchContext } from '../context.ts';
import { startThaw, type Thaw, type ThawOptions } from '../machine/thaw.ts';

const API = '/2023-03-30';
/** For pulls of gigabytes on a slow machine. */
const READY_MS_MAX = 600_000;
const RESPONSE_MS_MAX = 240_000;
const INSTANCES_GONE_MS_MAX = 60_000;
const REPORT_MS_MAX = 120_000;
const POLL_MS = 10;
const CONVERTED_POLL_MS = 500;

/** How a function in an image is first asked, and what its answer must be. */
export interface FirstRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Buffer;
  readonly isRight: (body: Buffer) => boolean;
}

/** `/thaw/v1/image-starts`, as far as it is read here. */
export interface ImageStart {
  readonly versionKey: string;
  readonly mode: string;
  readonly reason: string;
  readonly mountMs: number;
  readonly lazy?: {
    readonly isRecorded: boolean;
    readonly reads: number;
    readonly readBytes: number;
    readonly touched: { readonly chunks: number; readonly bytes: number; readonly packedBytes: number };
    readonly demanded: Shares;
    readonly prefetched: Shares;
    readonly requests: Readonly<Record<string, number>>;
    readonly wireBytes: Readonly<Record<string, number>>;
    readonly replay?: { readonly planned: number; readonly demanded: number; readonly misses: number };
  };
}
interface StartsAnswer {
  readonly starts: readonly ImageStart[];
  readonly converted: object | null;
  readonly failure: { readonly message: string } | null;
}
type Shares = Readonly<Record<string, { readonly chunks: number; readonly bytes: number }>>;

export interface ImageFunction {
  readonly name: string;
  readonly image: string;
  readonly accelerationType: 'Default' | 'None';
}

/** One machine of a zone: a platform that can be stopped, can lose its images and can be started again. */
export class ImageNode {
  readonly #directory: string;
  readonly #options: ThawOptions;
  #thaw: Thaw | undefined;

  private constructor(directory: string, options: ThawOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  static async start(context: BenchContext, options: ThawOptions): Promise<ImageNode> {
    const node = new ImageNode(await context.directory(), options);
    context.onEnd(() => node.stop());
    await node.start();
    return node;
  }

  async start(): Promise<void> {
    this.#thaw ??= await startThaw(this.#directory, this.#options);
  }

  async stop(): Promise<void> {
    const running = this.#thaw;
    this.#thaw = undefined;
    await running?.stop();
  }

  /** Started again as a machine that knows the functions, and has nothing of any image. */
  async startEmpty(): Promise<void> {
    await this.stop();
    await rm(join(this.#directory, 'data', 'images'), { recursive: true, force: true, maxRetries: 3 });
    dropCaches();
    await this.start();
  }

  /** Started again with everything on its disk. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async deploy({ name, image, accelerationType }: ImageFunction): Promise<void> {
    await this.#running.create(
      name,
      {
        runtime: 'custom-container',
        fields: {
          timeout: 600,
          memorySize: 3072,
          cpu: 2,
          idleTimeout: 1,
          customContainerConfig: { image, accelerationType },
        },
      },
      undefined,
    );
    await this.#running.addTrigger(name);
  }

  /** Milliseconds until the function may be called. */
  async untilActive(name: string): Promise<number> {
    const startMs = performance.now();
    await waitFor(
      `function ${name} to have its image`,
      async () => {
        const { state, stateReason } = await this.#get<{ state: string; stateReason?: string }>(
          `${API}/functions/${name}`,
        );
        if (state === 'Failed') throw new Error(`${name}: ${stateReason ?? 'failed'}`);
        if (state === 'Active') return true;
        await pause(POLL_MS);
        return false;
      },
      READY_MS_MAX,
    );
    return performance.now() - startMs;
  }

  /** Milliseconds until the answer is here, which must be right. */
  async responseMs(name: string, { method, path, body, isRight }: FirstRequest): Promise<number> {
    const startMs = performance.now();
    const answer = await this.#ask(name, path, { method, ...(body === undefined ? {} : { body }) });
    const ms = performance.now() - startMs;
    if (!isRight(answer)) throw new Error(`${name} gives a wrong answer: ${shown(answer)}`);
    return ms;
  }

  /** What the function gives at a path. */
  async bodyOf(name: string, path: string): Promise<Buffer> {
    return await this.#ask(name, path, { method: 'GET' });
  }

  async untilNoInstance(name: string): Promise<void> {
    await waitFor(
      `the instances of ${name} to go`,
      async () => {
        const { instances } = await this.#get<{ instances: unknown[] }>(`${API}/functions/${name}/instances`);
        return instances.length === 0;
      },
      INSTANCES_GONE_MS_MAX,
    );
  }

  /** What is known of the newest start of a function, when so many are known. */
  async report(name: string, count: number): Promise<ImageStart> {
    return await waitFor(
      `what start ${count} of ${name} read`,
      async () => (await this.reports(name))[count - 1],
      REPORT_MS_MAX,
    );
  }

  /** Waits until the layers of the function's image were converted, and left where this node leaves them. */
  async untilConverted(name: string): Promise<void> {
    await waitFor(
      `the image of ${name} to be converted`,
      async () => {
        const { converted, failure } = await this.#starts(name);
        if (failure !== null) throw new Error(`${name}: ${failure.message}`);
        await pause(CONVERTED_POLL_MS);
        return converted !== null;
      },
      READY_MS_MAX,
    );
  }

  /** Waits until what the function reads first was packed, and left where copies are; gives the bytes of the pack. */
  async untilPacked(name: string): Promise<number> {
    const { size } = await waitFor(
      `what ${name} reads first to be packed`,
      async () => {
        const { traces } = await this.#get<{ traces: { pack: { size: number } | null }[] }>(
          `/thaw/v1/image-traces/${name}`,
        );
        await pause(CONVERTED_POLL_MS);
        return traces[0]?.pack ?? undefined;
      },
      READY_MS_MAX,
    );
    return size;
  }

  async reports(name: string): Promise<readonly ImageStart[]> {
    const { starts } = await this.#starts(name);
    return starts.filter(({ versionKey }) => versionKey.startsWith(`${name}@`));
  }

  async #starts(name: string): Promise<StartsAnswer> {
    const { images } = await this.#get<{
      images: { digest: string; usedBy: { functionName: string }[] }[];
    }>('/thaw/v1/images');
    const image = images.find(({ usedBy }) => usedBy.some(({ functionName }) => functionName === name));
    if (image === undefined) return { starts: [], converted: null, failure: null };
    return await this.#get<StartsAnswer>(`/thaw/v1/image-starts/${image.digest}`);
  }

  async forgetTrace(name: string): Promise<void> {
    await this.#running.call({ method: 'DELETE', path: `/thaw/v1/image-traces/${name}` });
  }

  async #ask(
    name: string,
    path: string,
    call: { readonly method: string; readonly body?: Buffer },
  ): Promise<Buffer> {
    const { status, body } = await send(this.#running.url, {
      ...call,
      path: `/http/${name}/web${path}`,
      answerMsMax: RESPONSE_MS_MAX,
    });
    if (status !== 200) throw new Error(`${name}${path} answers ${status}: ${shown(body)}`);
    return body;
  }

  async #get<T>(path: string): Promise<T> {
    return jsonOf<T>(await send(this.#running.url, sign(this.#running, { method: 'GET', path })));
  }

  get #running(): Thaw {
    if (this.#thaw === undefined) throw new Error('the node does not run');
    return this.#thaw;
  }
}

/** Everything that is on disk as well goes out of memory. */
export function dropCaches(): void {
  execFileSync('sh', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches']);
}

function shown(body: Buffer): string {
  return body.toString('latin1').slice(0, 500);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
