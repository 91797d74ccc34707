import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { childEnvironment } from '../child-environment.ts';
import type { PullAnswer, PullOptions, PullRequest } from './puller-messages.ts';

const FILE = fileURLToPath(new URL('puller-main.ts', import.meta.url));
const HEAP_MEGABYTES_MAX = 512;
/** Without work for so long, the process is let go. */
const IDLE_MS_MAX = 30_000;
const PULLS_MAX = 64;

/** The process that pulls, started when there is something to pull. */
export class PullerProcess {
  readonly #options: PullOptions;
  readonly #pulls = new Map<number, PromiseWithResolvers<string>>();
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();
  #idle: NodeJS.Timeout | undefined;
  #nextId = 1;
  #isClosed = false;

  constructor(options: PullOptions) {
    this.#options = options;
  }

  /** For tests of its death. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The directory with the image. Throws what the pull does, REGISTRY_FAILED when the process died over it. */
  async pull(request: Omit<PullRequest, 'id'>): Promise<string> {
    if (this.#isClosed) throw new ThawError('SHUTTING_DOWN', `pulling image ${request.image.digest}`);
    if (this.#pulls.size >= PULLS_MAX)
      throw new ThawError('REGISTRY_FAILED', `${PULLS_MAX} images are being pulled already`);
    clearTimeout(this.#idle);
    this.#child ??= this.#start();
    const id = this.#nextId++;
    const pull = Promise.withResolvers<string>();
    this.#pulls.set(id, pull);
    this.#child.send({ id, ...request }, () => undefined);
    return await pull.promise;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    this.#child?.kill('SIGKILL');
    await this.#gone;
  }

  #start(): ChildProcess {
    const child = fork(FILE, [JSON.stringify(this.#options)], {
      execArgv: [`--max-old-space-size=${HEAP_MEGABYTES_MAX}`],
      env: childEnvironment(),
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.on('message', (answer: PullAnswer) => this.#settle(answer));
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        if (this.#child === child) this.#lose();
        resolve();
      };
      child.once('exit', end);
      child.once('error', end);
    });
    return child;
  }

  #settle(answer: PullAnswer): void {
    const pull = this.#pulls.get(answer.id);
    this.#pulls.delete(answer.id);
    if ('path' in answer) pull?.resolve(answer.path);
    else pull?.reject(new ThawError(answer.code, answer.message));
    if (this.#pulls.size > 0 || this.#isClosed) return;
    this.#idle = setTimeout(() => this.#letGo(), IDLE_MS_MAX);
    this.#idle.unref();
  }

  #letGo(): void {
    const child = this.#child;
    this.#child = undefined;
    if (child?.connected === true) child.disconnect();
  }

  #lose(): void {
    this.#child = undefined;
    for (const { reject } of this.#pulls.values())
      reject(new ThawError('REGISTRY_FAILED', 'the process that pulls images ended'));
    this.#pulls.clear();
  }
}
