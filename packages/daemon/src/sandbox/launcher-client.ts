import { fork, spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { LoopbackListener } from './loopback-listener.ts';
import type { LauncherEvent, LauncherOptions, LauncherRequest, SignalVerb } from './launcher/messages.ts';
import type { Sandbox, SandboxChange, SandboxExit, SandboxSpec, ServerAddress } from './sandbox.ts';

const OPEN_TIMEOUT_MS = 60_000;
const CLOSE_TIMEOUT_MS = 20_000;
const HEAP_MEGABYTES_MAX = 64;
/** The end of its standard input is how a launcher learns that the daemon is gone. */
const LAUNCHER_STDIO: StdioOptions = ['pipe', 'inherit', 'inherit', 'ipc'];
/**
 * Nearly all that it does is done by the kernel: the threads that would compile its code anew, or collect its few
 * megabytes at the same time, take a fifth of its processor time from the sandboxes that it starts in a burst.
 */
const ONE_THREAD = ['--no-opt', '--no-maglev', '--single-threaded-gc'];
const LAUNCHER_FILE = fileURLToPath(new URL('launcher/main.ts', import.meta.url));

export type Opened = Extract<LauncherEvent, { type: 'opened' }>;

export interface LauncherClientOptions extends LauncherOptions {
  /** A network namespace's file: the namespace takes the host's place for the sandboxes' networks. */
  readonly hostNetwork?: string | undefined;
  readonly note: (text: string) => void;
}

interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: ThawError) => void;
}

/** One launcher process from its start to its exit; a dead one is replaced by a new object. */
export class LauncherClient {
  readonly opened: Promise<Opened>;
  /** Settles when the process is gone, whatever ended it. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #options: LauncherClientOptions;
  readonly #starts = new Map<string, Settle<Sandbox>>();
  readonly #signals = new Map<number, Settle<void>>();
  /** Sockets that came before their sandbox's `started`. */
  readonly #listeners = new Map<string, LoopbackListener>();
  readonly #running = new Map<string, LaunchedSandbox>();
  #nextRequest = 1;
  #isGone = false;

  constructor(options: LauncherClientOptions) {
    this.#options = options;
    this.#child = startLauncher(options.hostNetwork);
    this.#child.stdin?.on('error', () => undefined);
    this.opened = this.#open();
    // Whoever waits for `opened` learns of a failure; this one must not count as unhandled.
    this.opened.catch(() => undefined);
    this.gone = new Promise((resolve) => {
      const end = (): void => {
        this.#isGone = true;
        this.#failAll();
        resolve();
      };
      this.#child.once('exit', end);
      this.#child.once('error', () => {
        if (this.#child.pid === undefined) end();
      });
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get hasRunning(): boolean {
    return this.#running.size > 0;
  }

  start(spec: SandboxSpec): Promise<Sandbox> {
    if (this.#isGone) return Promise.reject(launcherEnded(spec.id));
    if (this.#starts.has(spec.id) || this.#running.has(spec.id)) {
      return Promise.reject(new ThawError('SANDBOX_FAILED', `starting sandbox ${spec.id}: it is running`));
    }
    return new Promise((resolve, reject) => {
      this.#starts.set(spec.id, { resolve, reject });
      this.#send({ type: 'start', spec });
    });
  }

  /** False once it has ended: the launcher knows it by its name, which another one may have next. */
  holds(sandbox: LaunchedSandbox): boolean {
    return !this.#isGone && this.#running.get(sandbox.id) === sandbox;
  }

  signal(type: SignalVerb, sandbox: LaunchedSandbox): Promise<void> {
    if (!this.holds(sandbox)) return Promise.resolve();
    return this.#ask((request) => ({ type, request, id: sandbox.id }));
  }

  specialize(sandbox: LaunchedSandbox, change: SandboxChange): Promise<void> {
    const { id } = sandbox;
    if (!this.holds(sandbox)) return Promise.reject(launcherEnded(id));
    return this.#ask((request) => ({ type: 'specialize', request, id, change }));
  }

  #ask(message: (request: number) => LauncherRequest): Promise<void> {
    const request = this.#nextRequest++;
    return new Promise((resolve, reject) => {
      this.#signals.set(request, { resolve, reject });
      this.#send(message(request));
    });
  }

  kill(sandbox: LaunchedSandbox): void {
    if (this.holds(sandbox)) this.#send({ type: 'kill', id: sandbox.id });
  }

  async close(): Promise<void> {
    if (this.#isGone) return;
    this.#send({ type: 'close' });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_TIMEOUT_MS);
    await this.gone;
    clearTimeout(timer);
  }

  /** Sandboxes that ran when the launcher died: they are settled once a new launcher has cleared them away. */
  orphans(): LaunchedSandbox[] {
    const orphans = [...this.#running.values()];
    this.#running.clear();
    return orphans;
  }

  #open(): Promise<Opened> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => {
        clearTimeout(timer);
        reject(new ThawError('RUNTIME_UNAVAILABLE', `opening the sandboxes: ${reason}`));
      };
      const timer = setTimeout(() => {
        fail(`the launcher did not open within ${OPEN_TIMEOUT_MS} ms`);
        this.#child.kill('SIGKILL');
      }, OPEN_TIMEOUT_MS);
      this.#child.on('message', (event: LauncherEvent, handle) => {
        if (event.type === 'opened') {
          clearTimeout(timer);
          resolve(event);
        } else if (event.type === 'refused') {
          fail(event.reason);
        } else {
          this.#receive(event, handle instanceof Server ? handle : undefined);
        }
      });
      this.#child.once('error', (error) => {
        fail(error.message);
      });
      this.#child.once('exit', (code, signal) => {
        fail(`the launcher ended with ${signal ?? code}`);
      });
      const { runDirectory, isolation, kernelThread, spareNetworks, idleNetworks } = this.#options;
      const launcherOptions = { runDirectory, isolation, kernelThread, spareNetworks, idleNetworks };
      this.#send({ type: 'open', options: launcherOptions });
    });
  }

  #receive(event: Exclude<LauncherEvent, { type: 'opened' | 'refused' }>, handle: Server | undefined): void {
    switch (event.type) {
      case 'listener':
        if (handle !== undefined) this.#listeners.set(event.id, new LoopbackListener(handle));
        return;
      case 'started': {
        const sandbox = new LaunchedSandbox(this, event, this.#listeners.get(event.id));
        this.#listeners.delete(event.id);
        this.#running.set(event.id, sandbox);
        this.#starts.get(event.id)?.resolve(sandbox);
        this.#starts.delete(event.id);
        return;
      }
      case 'startFailed': {
        const error = new ThawError('SANDBOX_FAILED', `starting sandbox ${event.id}: ${event.reason}`);
        this.#starts.get(event.id)?.reject(error);
        this.#starts.delete(event.id);
        this.#dropListener(event.id);
        return;
      }
      case 'exited': {
        const sandbox = this.#running.get(event.id);
        this.#running.delete(event.id);
        sandbox?.settle(event.exit);
        return;
      }
      case 'done': {
        const { resolve, reject } = this.#signals.get(event.request) ?? {};
        this.#signals.delete(event.request);
        if (event.failure === undefined) resolve?.();
        else reject?.(new ThawError('SANDBOX_FAILED', `changing a sandbox: ${event.failure}`));
        return;
      }
      case 'note':
        this.#options.note(event.text);
    }
  }

  #dropListener(id: string): void {
    this.#listeners.get(id)?.close();
    this.#listeners.delete(id);
  }

  #failAll(): void {
    for (const [id, { reject }] of this.#starts) reject(launcherEnded(id));
    this.#starts.clear();
    for (const id of this.#listeners.keys()) this.#dropListener(id);
    // The sandbox is ending: what was to be stopped or continued is no more.
    for (const { resolve } of this.#signals.values()) resolve();
    this.#signals.clear();
  }

  #send(request: LauncherRequest): void {
    // A channel that breaks here is reported by the exit of the process.
    if (this.#child.connected) this.#child.send(request, () => undefined);
  }
}

/** A sandbox as the daemon holds it. */
export class LaunchedSandbox implements Sandbox {
  readonly id: string;
  readonly pid: number;
  readonly exited: Promise<SandboxExit>;
  readonly serverAddress: ServerAddress | undefined;
  readonly listener: LoopbackListener | undefined;
  readonly #launcher: LauncherClient;
  readonly #memoryPeakFile: string | undefined;
  readonly #freezeFile: string | undefined;
  #settle: (exit: SandboxExit) => void = () => undefined;
  #memoryBytesPeak: number | undefined;

  constructor(
    launcher: LauncherClient,
    { id, pid, memoryPeakFile, freezeFile, serverAddress }: Extract<LauncherEvent, { type: 'started' }>,
    listener: LoopbackListener | undefined,
  ) {
    this.listener = listener;
    this.id = id;
    this.pid = pid;
    this.#launcher = launcher;
    this.#memoryPeakFile = memoryPeakFile;
    this.#freezeFile = freezeFile;
    this.serverAddress = serverAddress;
    this.exited = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  freeze(): Promise<void> {
    return this.#launcher.signal('freeze', this);
  }

  /** A request waits for it, so the way through the launcher, which may be busy, is not waited for where a file will do. */
  thaw(): Promise<void> {
    if (!this.#launcher.holds(this)) return Promise.resolve();
    if (this.#freezeFile === undefined) return this.#launcher.signal('thaw', this);
    try {
      writeFileSync(this.#freezeFile, '0');
    } catch {
      // It has ended, or may not be written from here.
      return this.#launcher.signal('thaw', this);
    }
    // The launcher looks after frozen ones. Nothing freezes it again within this turn, so it is told in the right order.
    process.nextTick(() => this.#launcher.signal('thaw', this).catch(() => undefined));
    return Promise.resolve();
  }

  specialize(change: SandboxChange): Promise<void> {
    return this.#launcher.specialize(this, change);
  }

  kill(): void {
    this.#launcher.kill(this);
  }

  /** The last value read stays after the exit, when the file is gone. */
  memoryBytesPeak(): number | undefined {
    if (this.#memoryPeakFile === undefined) return undefined;
    try {
      this.#memoryBytesPeak = Number(readFileSync(this.#memoryPeakFile, 'utf8'));
    } catch {
      // The sandbox has ended.
    }
    return this.#memoryBytesPeak;
  }

  settle(exit: SandboxExit): void {
    // Nobody can connect any more, and whoever started the sandbox may not have taken it.
    this.listener?.close();
    this.#settle(exit);
  }
}

function launcherEnded(id: string): ThawError {
  return new ThawError('SANDBOX_FAILED', `starting sandbox ${id}: the launcher process ended`);
}

function startLauncher(hostNetwork: string | undefined): ChildProcess {
  // The one experimental module that it uses says so once in each process otherwise.
  const nodeOptions = [
    `--max-old-space-size=${HEAP_MEGABYTES_MAX}`,
    ...ONE_THREAD,
    '--disable-warning=ExperimentalWarning',
  ];
  if (hostNetwork === undefined) {
    return fork(LAUNCHER_FILE, {
      execArgv: nodeOptions,
      detached: false,
      stdio: LAUNCHER_STDIO,
    });
  }
  const args = [`--net=${hostNetwork}`, process.execPath, ...nodeOptions, LAUNCHER_FILE];
  return spawn('nsenter', args, { stdio: LAUNCHER_STDIO });
}
