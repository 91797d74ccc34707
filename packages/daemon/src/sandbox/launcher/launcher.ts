import { createHash } from 'node:crypto';
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import type { Server } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { LAUNCHER_MARK, processMark } from '../../base/process-mark.ts';
import { processStat } from '../../base/process-stat.ts';
import { openBubblewrapDriver } from '../bubblewrap/bubblewrap-launch.ts';
import { PROCESSES_UNLIMITED, CgroupTree } from '../cgroup/cgroup-tree.ts';
import { clearNetworksOf } from '../network/network-pool.ts';
import { clearOci } from '../oci/oci-launch.ts';
import { openProcessDriver } from '../process/process-launch.ts';
import { clearUplinks, uplinkDirectory } from '../network/user-network.ts';
import type { SandboxChange, SandboxSpec } from '../sandbox.ts';
import { invalidSpec } from './inner-command.ts';
import type { LaunchDriver } from './launch.ts';
import type { LauncherEvent, LauncherOptions } from './messages.ts';
import { ProcessTree } from './process-table.ts';
import { RunningSandbox } from './running-sandbox.ts';
import { StartGate } from './start-gate.ts';
import { until } from './until.ts';

/** More at once only wait for processors and the same kernel locks. */
const STARTS_AT_ONCE_MAX = Math.max(4, 2 * availableParallelism());
const STARTS_WAITING_MAX = 1024;
const LEFTOVER_TIMEOUT_MS = 5000;

/** Hands a listening socket to the daemon; resolves when it is on its way and this process's copy may be closed. */
export type SendListener = (id: string, listener: Server) => Promise<void>;

/** Everything the launcher process does, without the process: it owns the sandboxes of one platform. */
export class Launcher {
  readonly #driver: LaunchDriver;
  readonly #cgroups: CgroupTree;
  readonly #recordDirectory: string;
  readonly #send: (event: LauncherEvent) => void;
  readonly #sendListener: SendListener;
  readonly #gate = new StartGate(STARTS_AT_ONCE_MAX, STARTS_WAITING_MAX);
  readonly #sandboxes = new Map<string, RunningSandbox>();
  readonly #starting = new Set<Promise<void>>();
  #isClosed = false;

  private constructor(
    driver: LaunchDriver,
    cgroups: CgroupTree,
    recordDirectory: string,
    send: (event: LauncherEvent) => void,
    sendListener: SendListener,
  ) {
    this.#driver = driver;
    this.#sendListener = sendListener;
    this.#cgroups = cgroups;
    this.#recordDirectory = recordDirectory;
    this.#send = send;
  }

  /** Clears what an earlier launcher of the same run directory left, then chooses the driver. */
  static async open(
    { runDirectory, isolation, kernelThread, spareNetworks, idleNetworks }: LauncherOptions,
    send: (event: LauncherEvent) => void,
    sendListener: SendListener,
  ): Promise<Launcher> {
    const hash = platformHash(runDirectory);
    const directory = join(runDirectory, 'launcher');
    const recordDirectory = join(directory, 'sandboxes');
    mkdirSync(recordDirectory, { recursive: true, mode: 0o700 });
    writeFileSync(join(runDirectory, LAUNCHER_MARK), processMark());
    const cgroups = new CgroupTree(`thaw-${hash}`);
    await clearLeftovers(cgroups, recordDirectory);
    rmSync(join(directory, 'root'), { recursive: true, force: true });
    rmSync(join(directory, 'launch'), { recursive: true, force: true });
    clearOci(hash);
    await clearNetworksOf(hash);
    await clearUplinks(uplinkDirectory(directory));
    const warnings: string[] = [];
    let driver: LaunchDriver | undefined;
    if (isolation !== 'process') {
      try {
        driver = await openBubblewrapDriver({
          directory,
          hash,
          kernelThread,
          spareNetworks,
          idleNetworks,
          note: (text) => send({ type: 'note', text }),
        });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (isolation === 'bubblewrap') {
          await cgroups.close();
          throw new Error(`bubblewrap cannot be used here: ${reason}`, { cause: error });
        }
        warnings.push(
          `NO ISOLATION: bubblewrap cannot be used here (${reason}), so functions run as plain processes`,
        );
      }
    }
    driver ??= openProcessDriver();
    const shortcomings = [...driver.shortcomings, ...cgroups.shortcomings].filter(
      (text) => !driver.limitsProcesses || text !== PROCESSES_UNLIMITED,
    );
    const launcher = new Launcher(driver, cgroups, recordDirectory, send, sendListener);
    const { name, cannotSpecialize } = driver;
    send({ type: 'opened', driver: name, shortcomings, warnings, cannotSpecialize });
    return launcher;
  }

  async start(spec: SandboxSpec): Promise<void> {
    const starting = this.#gate
      .pass(() => this.#startNow(spec))
      .catch((error: unknown) => {
        this.#send({
          type: 'startFailed',
          id: spec.id,
          reason: error instanceof Error ? error.message : String(error),
        });
      });
    this.#starting.add(starting);
    await starting;
    this.#starting.delete(starting);
  }

  async freeze(id: string): Promise<void> {
    await this.#sandboxes.get(id)?.freeze();
  }

  thaw(id: string): void {
    this.#sandboxes.get(id)?.thaw();
  }

  /** Throws; the caller answers, and then calls `afterSpecialize`. */
  specialize(id: string, change: SandboxChange): void {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) throw new Error('it has ended');
    sandbox.specialize(change);
  }

  afterSpecialize(id: string): void {
    this.#sandboxes.get(id)?.afterSpecialize();
  }

  kill(id: string): void {
    this.#sandboxes.get(id)?.kill();
  }

  /** Ends every sandbox and takes away everything that was made on the machine. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const sandbox of this.#sandboxes.values()) sandbox.kill();
    await Promise.all(this.#starting);
    for (const sandbox of this.#sandboxes.values()) sandbox.kill();
    await Promise.all([...this.#sandboxes.values()].map(({ exited }) => exited));
    try {
      await this.#driver.close();
    } finally {
      await this.#cgroups.close();
    }
  }

  async #startNow(spec: SandboxSpec): Promise<void> {
    if (this.#isClosed) throw new Error('the launcher is closing');
    if (this.#sandboxes.has(spec.id)) throw new Error('a sandbox of this id is running');
    const fault = invalidSpec(spec);
    if (fault !== undefined) throw new Error(fault);
    const launch = await this.#driver.prepare(spec);
    const sandbox = await RunningSandbox.fork(spec, launch, this.#cgroups, (text) =>
      this.#send({ type: 'note', text }),
    );
    this.#sandboxes.set(spec.id, sandbox);
    this.#record(sandbox);
    void sandbox.exited.then(() => {
      this.#sandboxes.delete(spec.id);
      this.#forget(sandbox);
      const text = `sandbox ${spec.id} left something behind: ${sandbox.releaseFailure}`;
      if (sandbox.releaseFailure !== undefined) this.#send({ type: 'note', text });
    });
    await sandbox.connectNetwork();
    await this.#passListener(sandbox);
    sandbox.go();
    await sandbox.waitUntilRunning();
    const { pid, memoryPeakFile, freezeFile } = sandbox;
    const serverAddress = sandbox.reachServer();
    this.#send({ type: 'started', id: spec.id, pid, memoryPeakFile, freezeFile, serverAddress });
    void sandbox.exited.then((exit) => {
      this.#send({ type: 'exited', id: spec.id, exit });
    });
  }

  /** The daemon has the listening socket before the command can run: this process never takes a connection on it. */
  async #passListener(sandbox: RunningSandbox): Promise<void> {
    if (sandbox.spec.loopbackPort === undefined) return;
    const listener = await sandbox.openListener(sandbox.spec.loopbackPort);
    try {
      await this.#sendListener(sandbox.spec.id, listener);
    } finally {
      listener.close();
    }
  }

  /** Where no cgroup remembers a sandbox, a file does, for the launcher that comes after a crash. */
  #record({ spec, pid }: RunningSandbox): void {
    if (this.#cgroups.hierarchies.length > 0) return;
    writeFileSync(join(this.#recordDirectory, spec.id), `${pid} ${processStat(pid)?.startTicks ?? 0}`);
  }

  #forget({ spec }: RunningSandbox): void {
    if (this.#cgroups.hierarchies.length > 0) return;
    rmSync(join(this.#recordDirectory, spec.id), { force: true });
  }
}

/** Eight hexadecimal digits that tell the platforms of one machine apart. */
export function platformHash(runDirectory: string): string {
  mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
  return createHash('sha256').update(realpathSync(runDirectory)).digest('hex').slice(0, 8);
}

async function clearLeftovers(cgroups: CgroupTree, recordDirectory: string): Promise<void> {
  for (const cgroup of cgroups.leftovers()) {
    await until(() => {
      if (cgroup.members().length > 0) cgroup.kill();
      return cgroup.tryRemove();
    }, LEFTOVER_TIMEOUT_MS);
  }
  for (const name of readdirSync(recordDirectory)) {
    const file = join(recordDirectory, name);
    const [pid = 0, startTicks = 0] = readFileSync(file, 'utf8').split(' ').map(Number);
    const tree = new ProcessTree();
    if (pid > 0 && startTicks > 0) tree.add(pid, startTicks);
    await until(() => {
      if (tree.members().length === 0) return true;
      tree.kill();
      return false;
    }, LEFTOVER_TIMEOUT_MS);
    unlinkSync(file);
  }
}
