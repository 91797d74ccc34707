import { fork, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { PlatformLog } from '../../base/platform-log.ts';
import { childEnvironment } from '../child-environment.ts';
import { abortConnection } from './image-mounts.ts';
import type {
  ImagedCall,
  ImagedEvent,
  ImagedOptions,
  ImagedRequest,
  ImagedResults,
  MountedNode,
  TakeOver,
} from './messages.ts';
import { unmountBelow } from './run-mount.ts';

const FILE = fileURLToPath(new URL('main.ts', import.meta.url));
const HEAP_MEGABYTES_MAX = 1024;
/**
 * Pieces of images come and go by the hundred megabytes over a heap of twenty. V8's helpers took four times as long for
 * what they collect of it as the thread itself does without them, from processors that a start needs; with room for the
 * first hundreds of megabytes most starts are over before anything is marked at all. And what is compiled while a start runs
 * pays only after it.
 */
const ENGINE = ['--single-threaded-gc', '--initial-old-space-size=256', '--invocation-count-for-maglev=2000'];
/** A process that dies so often before it was open is not started again. */
const FAILED_STARTS_MAX = 10;
const PING_EVERY_MS = 5_000;
/** Without an answer for so long it hangs, and those who read images with it. */
const HANG_MS = 30_000;
const CLOSE_MS_MAX = 15_000;

interface Pending {
  readonly call: ImagedCall;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: ThawError) => void;
}

/**
 * Holds the FUSE file system of a machine and keeps a process that serves it. The descriptor is opened here and given to
 * each process, so that one that dies takes nothing along: the next one asks the kernel for what was not answered, and
 * calls that were under way are made again.
 */
export class ImagedProcess {
  readonly #options: ImagedOptions;
  readonly #log: PlatformLog;
  readonly #descriptor: number;
  readonly #pending = new Map<number, Pending>();
  readonly #mounted = new Map<number, MountedNode & { isUnmounted: boolean }>();
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();
  #opened: ImagedResults['open'] | undefined;
  #failedStarts = 0;
  #nextId = 1;
  #restarts = 0;
  #isClosed = false;
  #broken: ThawError | undefined;
  #watchdog: NodeJS.Timeout | undefined;

  private constructor(options: ImagedOptions, log: PlatformLog) {
    this.#options = options;
    this.#log = log;
    this.#descriptor = openSync('/dev/fuse', 'r+');
  }

  /** Throws RUNTIME_UNAVAILABLE with the reason where this machine cannot mount images lazily. */
  static async open(options: ImagedOptions, log: PlatformLog): Promise<ImagedProcess> {
    if (process.platform !== 'linux') throw unavailable('only Linux mounts images lazily');
    if (process.getuid?.() !== 0) throw unavailable('mounting images lazily needs root');
    mkdirSync(options.mountDirectory, { recursive: true, mode: 0o700 });
    let opened: ImagedProcess;
    try {
      opened = new ImagedProcess(options, log);
    } catch (cause) {
      throw unavailable('/dev/fuse cannot be opened', cause);
    }
    try {
      opened.#start();
      opened.#opened = await opened.call({ type: 'open', options, takeOver: undefined });
    } catch (error) {
      await opened.close();
      throw ThawError.from(error, 'starting the server of images');
    }
    opened.#watch();
    return opened;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** How often the process had to be replaced. */
  get restarts(): number {
    return this.#restarts;
  }

  get method(): string {
    return this.#opened?.method ?? '';
  }

  async mount(mounted: MountedNode): Promise<void> {
    this.#mounted.set(mounted.node, { ...mounted, isUnmounted: false });
    try {
      await this.call({ type: 'mount', mounted });
    } catch (error) {
      this.#mounted.delete(mounted.node);
      throw error;
    }
  }

  async unmount(node: number): Promise<void> {
    const mounted = this.#mounted.get(node);
    if (mounted === undefined) return;
    mounted.isUnmounted = true;
    await this.call({ type: 'unmount', node });
  }

  /** Throws what the call does; a process that dies over it is replaced, and the call made again. */
  async call<T extends ImagedCall['type']>(
    call: Extract<ImagedCall, { type: T }>,
  ): Promise<ImagedResults[T]> {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#isClosed && call.type !== 'close')
      throw new ThawError('SHUTTING_DOWN', 'the server of images is being stopped');
    const id = this.#nextId++;
    const result = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { call, resolve, reject });
    });
    // The process may be gone before anybody waits for this.
    result.catch(() => undefined);
    this.#send({ id, call });
    // What each call gives is the table's word; both sides are of one version.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return (await result) as ImagedResults[T];
  }

  /** Takes away all mounts; idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#watchdog);
    if (this.#child !== undefined) {
      this.call({ type: 'close' }).catch(() => undefined);
      const timer = setTimeout(() => this.#child?.kill('SIGKILL'), CLOSE_MS_MAX);
      await this.#gone;
      clearTimeout(timer);
    }
    await unmountBelow(this.#options.mountDirectory, 'inside');
    if (this.#opened !== undefined) abortConnection(this.#opened.connection);
    closeSync(this.#descriptor);
    this.#failAll(new ThawError('SHUTTING_DOWN', 'the server of images was stopped'));
  }

  #start(): void {
    const child = fork(FILE, [], {
      execArgv: [`--max-old-space-size=${HEAP_MEGABYTES_MAX}`, ...ENGINE],
      env: childEnvironment(),
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.#descriptor],
    });
    this.#child = child;
    child.on('message', (event: ImagedEvent) => this.#receive(event));
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        if (this.#child === child) this.#onGone();
        resolve();
      };
      child.once('exit', end);
      child.once('error', end);
    });
  }

  #send(request: ImagedRequest): void {
    if (this.#child?.connected === true) this.#child.send(request, () => undefined);
  }

  #receive(event: ImagedEvent): void {
    if (event.type === 'log') {
      this.#log(event.level, event.text);
      return;
    }
    if (event.type === 'dropped') {
      this.#mounted.delete(event.node);
      return;
    }
    const pending = this.#pending.get(event.id);
    this.#pending.delete(event.id);
    if (pending === undefined) return;
    if (event.type === 'result') pending.resolve(event.result);
    else pending.reject(new ThawError(event.code, event.message));
  }

  #onGone(): void {
    this.#child = undefined;
    if (this.#isClosed) {
      this.#failAll(new ThawError('SHUTTING_DOWN', 'the server of images was stopped'));
      return;
    }
    if (this.#opened === undefined) {
      this.#failAll(unavailable('the server of images ended while it started'));
      return;
    }
    this.#failedStarts += 1;
    if (this.#failedStarts > FAILED_STARTS_MAX) {
      this.#giveUp(this.#opened.connection);
      return;
    }
    this.#restarts += 1;
    this.#log('warning', 'the server of images died; another one takes over');
    this.#start();
    void this.#takeOver(this.#opened);
  }

  async #takeOver({ method }: ImagedResults['open']): Promise<void> {
    const waiting = [...this.#pending];
    const takeOver: TakeOver = { method, mounted: [...this.#mounted.values()] };
    const opening = waiting.filter(([, { call }]) => call.type === 'open');
    for (const [id] of opening) this.#pending.delete(id);
    try {
      await this.call({ type: 'open', options: this.#options, takeOver });
      this.#failedStarts = 0;
      for (const [id, { call }] of waiting) if (this.#pending.has(id)) this.#send({ id, call });
    } catch (error) {
      this.#log('error', 'the server of images could not take over', error);
    }
  }

  /** Those who wait for it in the kernel get errors instead of waiting for ever. */
  #giveUp(connection: number): void {
    this.#broken = new ThawError('STORE_FAILED', 'the server of images does not start any more');
    this.#log('error', this.#broken.message);
    abortConnection(connection);
    this.#failAll(this.#broken);
  }

  #watch(): void {
    const { hangMs = HANG_MS } = this.#options;
    let lastAnswerMs = performance.now();
    let isAsking = false;
    let asked = this.#child;
    this.#watchdog = setInterval(
      () => {
        if (asked !== this.#child || !isAsking) {
          asked = this.#child;
          isAsking = true;
          lastAnswerMs = performance.now();
          const settle = (): void => {
            isAsking = false;
          };
          this.call({ type: 'ping' }).then(settle, settle);
        } else if (performance.now() - lastAnswerMs > hangMs) {
          this.#log('error', 'the server of images hangs; it is ended');
          this.#child?.kill('SIGKILL');
        }
      },
      Math.min(PING_EVERY_MS, hangMs),
    );
    this.#watchdog.unref();
  }

  #failAll(error: ThawError): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

function unavailable(why: string, cause?: unknown): ThawError {
  return new ThawError('RUNTIME_UNAVAILABLE', why, cause === undefined ? {} : { cause });
}
