import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { constants } from 'node:os';
import type { OuterProcess } from '../launcher/launch.ts';

const UP_MS_MAX = 10_000;
const FORK_MS_MAX = 10_000;
const LINE_CHARACTERS_MAX = 65_536;

/** What a zygote needs to know of one sandbox; `runtimes/python/thaw_shim/zygote.py` reads it. */
export interface ForkRequest {
  readonly id: string;
  readonly uid: number;
  /** Directories below the host's place that hold a cgroup by the sandbox's name. */
  readonly groups: readonly string[];
  /** Name of a network namespace; null: one with a loopback only. */
  readonly network: string | null;
  /** Late targets in their order. */
  readonly targets: readonly string[];
  /** Paths below the platform's directory of instances. */
  readonly output: string;
  readonly linkDirectory: string;
  /** Path inside. */
  readonly link: string;
  readonly sharedBytes: number;
  /** What is executed in the sandbox; absent: the zygote's own shim. */
  readonly command?: readonly [string, ...string[]] | undefined;
  /** All variables of that. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

type News =
  | { readonly note: string }
  | { readonly up: number }
  | { readonly forked: string; readonly pid: number }
  | { readonly ready: string }
  | { readonly failed: string; readonly reason: string }
  | { readonly exited: number; readonly status: number };

interface Fork {
  pid: number | undefined;
  isReady: boolean;
  readonly resolve: (child: OuterProcess) => void;
  readonly reject: (error: Error) => void;
}

/** A sandbox's first process, whose parent is the zygote. */
class ForkedProcess extends EventEmitter<{
  exit: [code: number | null, signal: NodeJS.Signals | null];
  error: [error: Error];
}> {
  readonly pid: number;
  readonly stdio: readonly [] = [];

  constructor(pid: number) {
    super();
    this.pid = pid;
  }
}

/** A process that has booted a language and forks it into sandboxes on request; it dies with this one, and they with it. */
export class Zygote {
  /** Settles when it takes requests; rejects when it never will. */
  readonly up: Promise<void>;
  readonly #child: ChildProcess;
  readonly #forks = new Map<string, Fork>();
  readonly #running = new Map<number, ForkedProcess>();
  readonly #note: (text: string) => void;
  #isGone = false;
  #onUp: () => void = () => undefined;

  constructor(
    command: readonly [string, ...string[]],
    files: readonly number[],
    note: (text: string) => void,
  ) {
    this.#note = note;
    const [program, ...args] = command;
    this.#child = spawn(program, args, {
      env: {},
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit', ...files],
    });
    this.up = new Promise((resolve, reject) => {
      const fail = (): void => reject(new Error('the process that forks sandboxes did not come up'));
      const limit = setTimeout(() => {
        this.kill();
        fail();
      }, UP_MS_MAX);
      this.#onUp = () => {
        clearTimeout(limit);
        resolve();
      };
      this.#child.once('exit', () => {
        clearTimeout(limit);
        fail();
      });
    });
    this.up.catch(() => undefined);
    this.#child.once('error', () => this.#end());
    this.#child.once('exit', () => this.#end());
    this.#child.stdin?.on('error', () => undefined);
    if (this.#child.stdout === null) throw new Error('a process without an output');
    let rest = '';
    this.#child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#hear(line);
      if (rest.length > LINE_CHARACTERS_MAX) this.kill();
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** The first process of a sandbox, when everything around it stands. */
  async fork(request: ForkRequest): Promise<OuterProcess> {
    await this.up;
    if (this.#isGone) throw new Error('the process that forks sandboxes has ended');
    let limit: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#forks.set(request.id, { pid: undefined, isReady: false, resolve, reject });
        limit = setTimeout(() => reject(new Error('the sandbox was not made in time')), FORK_MS_MAX);
        this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
      });
    } finally {
      clearTimeout(limit);
      this.#forks.delete(request.id);
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** One that says what nobody understands is of no use, and its sandboxes must not go on without a watcher. */
  #hear(line: string): void {
    try {
      const news: unknown = JSON.parse(line);
      if (isNews(news)) this.#receive(news);
      else this.kill();
    } catch {
      this.kill();
    }
  }

  #receive(news: News): void {
    if ('note' in news) {
      this.#note(news.note);
    } else if ('up' in news) {
      this.#onUp();
    } else if ('exited' in news) {
      this.#onExited(news.exited, news.status);
    } else if ('forked' in news) {
      this.#running.set(news.pid, new ForkedProcess(news.pid));
      const fork = this.#forks.get(news.forked);
      if (fork !== undefined) fork.pid = news.pid;
      this.#settle(fork);
    } else if ('ready' in news) {
      const fork = this.#forks.get(news.ready);
      if (fork !== undefined) fork.isReady = true;
      this.#settle(fork);
    } else {
      this.#forks.get(news.failed)?.reject(new Error(news.reason));
    }
  }

  /** The two lines come from two processes, in any order. */
  #settle(fork: Fork | undefined): void {
    if (fork?.pid === undefined || !fork.isReady) return;
    const child = this.#running.get(fork.pid);
    if (child !== undefined) fork.resolve(child);
  }

  #onExited(pid: number, status: number): void {
    const child = this.#running.get(pid);
    this.#running.delete(pid);
    for (const fork of this.#forks.values()) {
      if (fork.pid === pid) fork.reject(new Error('its first process ended'));
    }
    // Whoever has just been given it listens from the next turn on.
    setImmediate(() => {
      if (status >= 0) child?.emit('exit', status, null);
      else child?.emit('exit', null, signalOf(-status));
    });
  }

  #end(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    for (const { reject } of this.#forks.values())
      reject(new Error('the process that forks sandboxes ended'));
    // The kernel ends them with their parent; the sandbox waits until its groups are empty.
    for (const child of this.#running.values()) child.emit('exit', null, 'SIGKILL');
    this.#running.clear();
  }
}

/** Three lines come for each sandbox of a burst: a schema that tries one kind after the other takes longer than all else. */
function isNews(value: unknown): value is News {
  if (typeof value !== 'object' || value === null) return false;
  if ('forked' in value) return typeof value.forked === 'string' && 'pid' in value && isWhole(value.pid);
  if ('ready' in value) return typeof value.ready === 'string';
  if ('exited' in value) return isWhole(value.exited) && 'status' in value && isWhole(value.status);
  if ('failed' in value)
    return typeof value.failed === 'string' && 'reason' in value && typeof value.reason === 'string';
  return ('note' in value && typeof value.note === 'string') || ('up' in value && isWhole(value.up));
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value);
}

function signalOf(number: number): NodeJS.Signals {
  const isSignal = (name: string): name is NodeJS.Signals =>
    Object.entries(constants.signals).some((entry) => entry[0] === name && entry[1] === number);
  return Object.keys(constants.signals).find(isSignal) ?? 'SIGKILL';
}
