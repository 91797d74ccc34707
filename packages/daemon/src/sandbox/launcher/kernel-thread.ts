import { Worker } from 'node:worker_threads';
import type { KernelAnswer, KernelOpened, KernelRequest, KernelTask } from './kernel-task.ts';

/** It holds a few names and numbers. */
const HEAP_MEGABYTES_MAX = 16;

interface Settle {
  readonly resolve: (namespaces: readonly number[]) => void;
  readonly reject: (error: Error) => void;
}

/** The launcher's hold on its second thread (`kernel-worker.ts`), which does one thing after the other, in order. */
export class KernelThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Settle>();
  readonly #pending = new Set<Promise<unknown>>();
  #nextRequest = 1;
  #ended: string | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', ({ request, failure, namespaces }: KernelAnswer) => {
      const { resolve, reject } = this.#waiting.get(request) ?? {};
      this.#waiting.delete(request);
      if (failure === undefined) resolve?.(namespaces);
      else reject?.(new Error(failure));
    });
    worker.on('error', (error) => this.#end(String(error)));
    worker.on('exit', () => this.#end('it is closed'));
  }

  /** Rejects where this Node or this machine lets no thread make such calls. */
  static async open(): Promise<KernelThread> {
    const worker = new Worker(new URL('kernel-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES_MAX },
    });
    const { unusable } = await new Promise<KernelOpened>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    if (unusable === undefined) return new KernelThread(worker);
    await worker.terminate();
    throw new Error(unusable);
  }

  /** Settles when it is done, with the namespaces that it made. */
  perform(task: KernelTask): Promise<readonly number[]> {
    if (this.#ended !== undefined)
      return Promise.reject(new Error(`the thread for the kernel has ended: ${this.#ended}`));
    const request: KernelRequest = { request: this.#nextRequest++, task };
    const done = new Promise<readonly number[]>((resolve, reject) => {
      this.#waiting.set(request.request, { resolve, reject });
      this.#worker.postMessage(request, []);
    });
    const forget = (): void => void this.#pending.delete(done);
    this.#pending.add(done);
    done.then(forget, forget);
    return done;
  }

  /** What it was asked for before is done. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#pending);
    await this.#worker.terminate();
  }

  #end(why: string): void {
    this.#ended ??= why;
    for (const { reject } of this.#waiting.values())
      reject(new Error(`the thread for the kernel has ended: ${this.#ended}`));
    this.#waiting.clear();
  }
}
