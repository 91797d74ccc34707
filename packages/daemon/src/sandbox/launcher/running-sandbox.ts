import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, readFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { constants } from 'node:os';
import { processStat } from '../../base/process-stat.ts';
import type { Cgroup } from '../cgroup/cgroup.ts';
import type { CgroupTree } from '../cgroup/cgroup-tree.ts';
import { startRelay } from '../network/relay.ts';
import type { SandboxChange, SandboxExit, SandboxSpec, ServerAddress } from '../sandbox.ts';
import { FrozenWatch } from './frozen-watch.ts';
import { startMark } from './inner-command.ts';
import type { Launch, OuterProcess, Uplink } from './launch.ts';
import { listenInside } from './listen-inside.ts';
import { connectOutput, connectStdio } from './output-sockets.ts';
import { ProcessTree } from './process-table.ts';
import { until } from './until.ts';

const START_TIMEOUT_MS = 10_000;
const FREEZE_TIMEOUT_MS = 5000;
/** Processes that hang in the kernel may outlast a kill; after this the sandbox is given up and reported. */
const END_TIMEOUT_MS = 10_000;
/** What `env` ends with when the command is not there (127) or cannot be executed (126). */
const COMMAND_MISSING = 127;
const COMMAND_UNUSABLE = 126;

/** One sandbox from fork to the end of its last process. */
export class RunningSandbox {
  readonly spec: SandboxSpec;
  /** Settles when every process is gone and everything made for the sandbox has been taken away. */
  readonly exited: Promise<SandboxExit>;
  /** Why something that was made for it could not be taken away. */
  releaseFailure: string | undefined;
  readonly #child: OuterProcess;
  readonly #cgroup: Cgroup;
  readonly #tree: ProcessTree | undefined;
  readonly #launch: Launch;
  #relay: ChildProcess | undefined;
  #uplink: Promise<Uplink> | undefined;
  #status: BubblewrapStatus = {};
  #ended: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  #failure: Error | undefined;
  /** What a container runtime said when it could not start the command. */
  #containerFailure: string | undefined;
  readonly #frozenWatch: FrozenWatch;

  private constructor(
    spec: SandboxSpec,
    launch: Launch,
    child: OuterProcess,
    cgroup: Cgroup,
    note: (text: string) => void,
  ) {
    this.spec = spec;
    this.#launch = launch;
    this.#child = child;
    this.#cgroup = cgroup;
    this.#tree = cgroup.directories.length === 0 ? new ProcessTree() : undefined;
    if (child.pid !== undefined) this.#tree?.add(child.pid);
    if (launch.reportsStatus) this.#readStatus(launch.files.length + 3);
    this.#frozenWatch = new FrozenWatch({
      eventsFile: cgroup.freezeEventsFile,
      isDead: () => {
        const pid = this.#firstInside();
        return pid === undefined || processStat(pid)?.state === 'Z';
      },
      onDead: () => this.kill(),
      note,
    });
    this.exited = new Promise((resolve) => {
      const end = (): void => void this.#finish().then(resolve);
      child.once('error', (error) => {
        this.#failure = error;
        this.#ended ??= { code: COMMAND_MISSING, signal: null };
        if (child.pid === undefined) end();
      });
      child.once('exit', (code, signal) => {
        this.#frozenWatch.stop();
        this.#ended = { code, signal };
        end();
      });
    });
  }

  /** Forks with every limit in force; `waitUntilRunning` follows. Rejects with nothing left behind. */
  static async fork(
    spec: SandboxSpec,
    launch: Launch,
    cgroups: CgroupTree,
    note: (text: string) => void,
  ): Promise<RunningSandbox> {
    const streams: Socket[] = [];
    let cgroup: Cgroup | undefined;
    try {
      if (launch.fork !== undefined) {
        cgroup = cgroups.create(spec.id, spec, false);
        cgroup.limitProcessor(launch.ownProcesses);
        return new RunningSandbox(spec, launch, await launch.fork(cgroup.directories), cgroup, note);
      }
      const connected = async (connecting: Promise<Socket>): Promise<Socket> => {
        const socket = await connecting;
        streams.push(socket);
        return socket;
      };
      const both =
        spec.stdioSocket === undefined ? undefined : await connected(connectStdio(spec.stdioSocket));
      const stdin = both ?? 'ignore';
      const stdout = both ?? (await connected(connectOutput(spec.outputSocket, 'stdout', spec.id)));
      const stderr = await connected(connectOutput(spec.outputSocket, 'stderr', spec.id));
      const pipes = launch.reportsStatus ? (['pipe', 'pipe'] as const) : (['pipe'] as const);
      cgroup = cgroups.create(spec.id, spec, true);
      const child = cgroups.inside(cgroup, () =>
        spawn(launch.program, launch.args, {
          // Programs that run before the command get nothing from the user; see `innerCommand`.
          env: {},
          cwd: launch.directory,
          // A session of its own: what a terminal sends to the daemon does not reach functions.
          detached: true,
          stdio: [stdin, stdout, stderr, ...launch.files, ...pipes],
        }),
      );
      cgroup.limitProcessor(launch.ownProcesses);
      return new RunningSandbox(spec, launch, child, cgroup, note);
    } catch (error) {
      cgroup?.kill();
      await until(() => {
        // A process that was still on its way into it may have come.
        if (cgroup?.tryRemove() ?? true) return true;
        cgroup?.kill();
        return false;
      }, END_TIMEOUT_MS);
      launch.release();
      throw error;
    } finally {
      for (const socket of streams) socket.destroy();
      for (const file of launch.files) closeSync(file);
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Makes the way to the server, once it runs: a relay, where one is needed, listens when the server does. */
  reachServer(): ServerAddress | undefined {
    const { server } = this.spec;
    const { reach } = this.#launch;
    if (server === undefined || reach === undefined) return undefined;
    if (reach.kind === 'direct') return reach.address;
    this.#relay ??= startRelay(reach, this.pid, server);
    return { path: server.relaySocket };
  }

  get memoryPeakFile(): string | undefined {
    return this.#cgroup.memoryPeakFile;
  }

  get freezeFile(): string | undefined {
    return this.#cgroup.freezeFile;
  }

  /** Makes the way out, where one is needed, while the command waits for `go`. Rejects after everything is gone. */
  async connectNetwork(): Promise<void> {
    const { connectNetwork } = this.#launch;
    if (connectNetwork === undefined) return;
    await this.#whileMade(async () => {
      this.#uplink = connectNetwork(this.pid);
      await this.#uplink;
    });
  }

  /**
   * Listens at this port of the sandbox's own loopback while its command waits for `go`. Rejects after everything is gone.
   */
  async openListener(port: number): Promise<Server> {
    return await this.#whileMade(async () => {
      const enter = this.#launch.enterNetwork?.(this.pid);
      if (enter === undefined) throw new Error('its network cannot be entered');
      return await listenInside(enter, port);
    });
  }

  /** Does something to the sandbox's network once that is there, before the command runs in it. */
  async #whileMade<T>(act: () => Promise<T>): Promise<T> {
    try {
      // A container runtime is started in a network that is there before it.
      const hasNetwork = (): boolean =>
        this.#status.childPid !== undefined || this.#launch.progress !== undefined;
      await until(() => this.#ended !== undefined || hasNetwork(), START_TIMEOUT_MS);
      // bwrap runs by now, in the network that is to be entered.
      const isMade = this.#ended === undefined && hasNetwork();
      if (!isMade) throw new Error(this.#whyNotStarted() ?? 'its network cannot be entered');
      return await act();
    } catch (error) {
      this.kill();
      await this.exited;
      throw error;
    }
  }

  /** Lets the command run, which waits for this. */
  go(): void {
    const { reportsStatus, files } = this.#launch;
    const pipe = this.#child.stdio[3 + files.length + (reportsStatus ? 1 : 0)];
    // A sandbox that has been killed meanwhile reads no more.
    pipe?.on('error', () => undefined);
    if (pipe !== null && pipe !== undefined && 'end' in pipe) pipe.end('\n');
  }

  /** Resolves when the command itself runs, or has run; rejects when it never will, after everything is gone. */
  async waitUntilRunning(): Promise<void> {
    const isSettled = await until(
      () => this.#ended !== undefined || this.#isCommandRunning(),
      START_TIMEOUT_MS,
    );
    if (isSettled && this.#ended === undefined) return;
    if (!isSettled) this.kill();
    await this.exited;
    const reason = isSettled ? this.#whyNotStarted() : `it did not run within ${START_TIMEOUT_MS} ms`;
    if (reason !== undefined)
      throw new Error(reason, this.#failure === undefined ? {} : { cause: this.#failure });
  }

  /** The limits first: what comes with the mounts is the function's. Throws. */
  specialize(change: SandboxChange): void {
    const { specialize } = this.#launch;
    if (specialize === undefined) throw new Error('it was not made to be changed');
    if (this.#ended !== undefined) throw new Error('it has ended');
    this.#cgroup.change(change);
    specialize(change);
  }

  afterSpecialize(): void {
    this.#launch.afterSpecialize?.();
  }

  async freeze(): Promise<void> {
    const processes = this.#processes;
    processes.requestFreeze(true);
    const isFrozen = await until(() => {
      if (this.#ended !== undefined || processes.isFrozen()) return true;
      // Signals miss processes born meanwhile; the freezer does not mind being asked again.
      processes.requestFreeze(true);
      return false;
    }, FREEZE_TIMEOUT_MS);
    if (!isFrozen) throw new Error(`its processes did not stop within ${FREEZE_TIMEOUT_MS} ms`);
    if (this.#launch.reportsStatus && this.#ended === undefined) this.#frozenWatch.start();
  }

  thaw(): void {
    this.#frozenWatch.stop();
    this.#processes.requestFreeze(false);
  }

  kill(): void {
    this.#processes.kill();
  }

  get #processes(): Cgroup | ProcessTree {
    return this.#tree ?? this.#cgroup;
  }

  #isCommandRunning(): boolean {
    const { progress } = this.#launch;
    if (progress !== undefined) return progress.isRunning();
    const pid = this.#launch.reportsStatus ? this.#firstInside() : this.#child.pid;
    if (pid === undefined) return false;
    const commandLine = readProc(pid, 'cmdline');
    return commandLine !== '' && !commandLine.includes(startMark(this.spec.id));
  }

  /** The child of the namespace's first process, which is bwrap's own. */
  #firstInside(): number | undefined {
    if (this.#launch.fork !== undefined) return this.#child.pid;
    const reaper = this.#status.childPid;
    if (reaper === undefined) return undefined;
    const children = readProc(reaper, `task/${reaper}/children`).trim().split(' ');
    return children[0] === undefined || children[0] === '' ? undefined : Number(children[0]);
  }

  #whyNotStarted(): string | undefined {
    const command = JSON.stringify(this.spec.command[0]);
    if (this.#launch.progress !== undefined)
      return this.#containerFailure && `the command ${command} was not started: ${this.#containerFailure}`;
    if (this.#failure !== undefined)
      return `${this.#launch.program} could not be run for the command ${command}`;
    if (this.#ended?.code === COMMAND_MISSING) return `the command ${command} is not there`;
    if (this.#ended?.code === COMMAND_UNUSABLE) return `the command ${command} cannot be executed`;
    // bwrap reports an exit code exactly when it came as far as running what it was told to.
    if (this.#launch.reportsStatus && this.#status.exitCode === undefined && this.#ended?.signal === null) {
      return `bwrap could not prepare the sandbox of the command ${command}; the sandbox's stderr says why`;
    }
    return undefined;
  }

  #readStatus(descriptor: number): void {
    const stream = this.#child.stdio[descriptor];
    if (stream === null || stream === undefined || !('setEncoding' in stream)) return;
    let textSoFar = '';
    stream.setEncoding('utf8');
    stream.on('error', () => undefined);
    stream.on('data', (chunk: string) => {
      textSoFar += chunk;
      this.#status = parseStatus(textSoFar);
      if (this.#status.childPid !== undefined) this.#tree?.add(this.#status.childPid);
    });
  }

  async #finish(): Promise<SandboxExit> {
    this.#relay?.kill('SIGKILL');
    const processes = this.#processes;
    // The end of the first process is the end of the sandbox; others that it left are not to outlive it.
    await until(() => {
      if (processes.members().length === 0) return true;
      processes.kill();
      return false;
    }, END_TIMEOUT_MS);
    const status = this.#child.stdio[this.#launch.files.length + 3];
    if (this.#launch.reportsStatus && status !== null && status !== undefined) {
      await until(
        () => status.destroyed || ('readableEnded' in status && status.readableEnded),
        END_TIMEOUT_MS,
      );
    }
    // One that could not be made has ended by itself.
    const uplink = await this.#uplink?.catch(() => undefined);
    await uplink?.end();
    this.#containerFailure = this.#launch.progress?.failure();
    const outOfMemory = this.#cgroup.hasRunOutOfMemory();
    await until(() => this.#cgroup.tryRemove(), END_TIMEOUT_MS);
    try {
      this.#launch.release();
    } catch (error) {
      // Whoever waits for the end learns of it all the same.
      this.releaseFailure = error instanceof Error ? error.message : String(error);
    }
    return { ...this.#howItEnded(), outOfMemory };
  }

  /** bwrap ends with 128 + n when signal n ended the command, as a shell does. */
  #howItEnded(): Pick<SandboxExit, 'code' | 'signal'> {
    const { code, signal } = this.#ended ?? { code: null, signal: null };
    const folds = this.#launch.reportsStatus || this.#launch.foldsSignals === true;
    if (!folds || code === null || code <= 128) return { code, signal };
    const name = signalOf(code - 128);
    return name === undefined ? { code, signal } : { code: null, signal: name };
  }
}

function signalOf(number: number): NodeJS.Signals | undefined {
  const isSignal = (name: string): name is NodeJS.Signals =>
    Object.entries(constants.signals).some((entry) => entry[0] === name && entry[1] === number);
  return Object.keys(constants.signals).find(isSignal);
}

interface BubblewrapStatus {
  readonly childPid?: number;
  readonly exitCode?: number;
}

/** bwrap writes JSON objects with blanks between; both that matter are plain numbers. */
function parseStatus(text: string): BubblewrapStatus {
  const childPid = /"child-pid": (\d+)/u.exec(text)?.[1];
  const exitCode = /"exit-code": (\d+)/u.exec(text)?.[1];
  return {
    ...(childPid === undefined ? {} : { childPid: Number(childPid) }),
    ...(exitCode === undefined ? {} : { exitCode: Number(exitCode) }),
  };
}

function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
