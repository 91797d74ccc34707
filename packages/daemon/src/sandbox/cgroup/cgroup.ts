import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { OpenHierarchy } from './cgroup-tree.ts';

export interface CgroupLimits {
  readonly memoryBytesMax: number;
  readonly cpu: number | undefined;
  readonly cpuShare: number;
  readonly processesMax: number;
}

/** CPU time is granted in slices of this length: the kernel's default, and what FC and Kubernetes use. */
const CPU_PERIOD_US = 100_000;
/** The kernel refuses a smaller quota. */
const CPU_QUOTA_US_MIN = 1000;
const CPU_SHARES_MIN = 2;
const CPU_SHARES_MAX = 262_144;
const CPU_WEIGHT_MAX = 10_000;
/** A sandbox with 512 MB has the kernel's default of 1024. */
const CPU_SHARES_PER_MB = 2;

interface Group {
  readonly version: 1 | 2;
  readonly directory: string;
  readonly controllers: readonly string[];
}

/** The groups of one sandbox: one directory in every hierarchy that we may write. */
export class Cgroup {
  readonly id: string;
  readonly directories: readonly string[];
  readonly #unified: string | undefined;
  readonly #memory: { readonly directory: string; readonly version: 1 | 2 } | undefined;
  readonly #pids: string | undefined;
  readonly #limits: CgroupLimits | undefined;
  readonly #groups: readonly Group[];
  #memoryBytesMax: number | undefined;
  /** In force. */
  #processor: Pick<CgroupLimits, 'cpu' | 'cpuShare'> | undefined;

  /**
   * Without `limits` it opens the groups that exist under this id; with them it makes them. `isEntered`: the launcher will
   * enter them to fork.
   */
  constructor(
    hierarchies: readonly OpenHierarchy[],
    id: string,
    limits: CgroupLimits | undefined,
    isEntered = false,
  ) {
    const groups: readonly Group[] = hierarchies
      .map(({ version, directory, controllers }) => ({
        version,
        directory: `${directory}/${id}`,
        controllers,
      }))
      .filter(({ directory }) => limits !== undefined || existsSync(directory));
    this.id = id;
    this.#groups = groups;
    this.directories = groups.map(({ directory }) => directory);
    this.#unified = groups.find(({ version }) => version === 2)?.directory;
    this.#memory = groups.find(({ controllers }) => controllers.includes('memory'));
    this.#pids = groups.find(({ controllers }) => controllers.includes('pids'))?.directory;
    this.#limits = limits;
    this.#memoryBytesMax = limits?.memoryBytesMax;
    if (limits === undefined) return;
    try {
      for (const { version, directory, controllers } of groups) {
        mkdirSync(directory);
        if (controllers.includes('memory')) limitMemory(directory, version, limits.memoryBytesMax);
        if (isEntered && controllers.includes('cpu')) favour(directory, version);
      }
    } catch (error) {
      this.tryRemove();
      throw error;
    }
  }

  /**
   * Comes after the fork: the launcher enters the group with all its threads to fork, would be refused one process more,
   * and would wait for its turn behind every sandbox that works. The child needs milliseconds to set its sandbox up before
   * user code runs; these writes are next.
   */
  limitProcessor(extraProcesses: number): void {
    const limits = this.#limits;
    if (limits === undefined) return;
    for (const { version, directory, controllers } of this.#groups) {
      if (controllers.includes('cpu')) limitCpu(directory, version, limits);
    }
    this.#processor = limits;
    if (this.#pids === undefined) return;
    writeFileSync(`${this.#pids}/pids.max`, String(limits.processesMax + extraProcesses));
  }

  /** New limits for what runs. The memory may only grow: what is in use might not fit into less. */
  change(limits: Omit<CgroupLimits, 'processesMax'>): void {
    const isMemoryNew = limits.memoryBytesMax !== this.#memoryBytesMax;
    this.#memoryBytesMax = limits.memoryBytesMax;
    // What is started for one function has had its share from the start.
    const { cpu, cpuShare } = limits;
    const isProcessorNew = this.#processor?.cpu !== cpu || this.#processor?.cpuShare !== cpuShare;
    this.#processor = limits;
    for (const { version, directory, controllers } of this.#groups) {
      if (isMemoryNew && controllers.includes('memory'))
        raiseMemory(directory, version, limits.memoryBytesMax);
      if (isProcessorNew && controllers.includes('cpu')) limitCpu(directory, version, limits);
    }
  }

  get memoryPeakFile(): string | undefined {
    if (this.#memory === undefined) return undefined;
    const { directory, version } = this.#memory;
    const name = version === 2 ? 'memory.peak' : 'memory.max_usage_in_bytes';
    const file = `${directory}/${name}`;
    // `memory.peak` came with Linux 5.19.
    if (!presentNames.has(name) && !existsSync(file)) return undefined;
    presentNames.add(name);
    return file;
  }

  /** Where a write of 0 lets a frozen group go on; undefined where signals do. */
  get freezeFile(): string | undefined {
    return this.#unified === undefined ? undefined : `${this.#unified}/cgroup.freeze`;
  }

  /** Changes when a frozen group is no longer frozen as a whole, as when a process of it is killed. */
  get freezeEventsFile(): string | undefined {
    return this.#unified === undefined ? undefined : `${this.#unified}/cgroup.events`;
  }

  /** Whether the kernel has killed a process of the group for lack of memory. */
  hasRunOutOfMemory(): boolean {
    if (this.#memory === undefined) return false;
    const { directory, version } = this.#memory;
    const text = readOrNothing(join(directory, version === 2 ? 'memory.events' : 'memory.oom_control'));
    return Number(/^oom_kill (\d+)$/mu.exec(text)?.[1] ?? 0) > 0;
  }

  members(): number[] {
    const pids = new Set<number>();
    // Every process is in every group; the version 2 list leaves out those that have ended.
    for (const directory of this.#unified === undefined ? this.directories : [this.#unified]) {
      for (const line of processLines(directory)) {
        // A process of a pid namespace that we do not see is shown as 0.
        if (line !== '' && line !== '0') pids.add(Number(line));
      }
    }
    return [...pids];
  }

  /** Sends SIGKILL to every process, also to frozen ones and to those born meanwhile. */
  kill(): void {
    if (this.#unified !== undefined && existsSync(`${this.#unified}/cgroup.kill`)) {
      writeUnlessGone(`${this.#unified}/cgroup.kill`, '1');
      return;
    }
    for (const pid of this.members()) signalIfThere(pid, 'SIGKILL');
    this.requestFreeze(false);
  }

  /** The version 2 freezer is asynchronous: `isFrozen` says when the last process has stopped. */
  requestFreeze(frozen: boolean): void {
    if (this.#unified !== undefined) {
      writeUnlessGone(`${this.#unified}/cgroup.freeze`, frozen ? '1' : '0');
      return;
    }
    for (const pid of this.members()) signalIfThere(pid, frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  isFrozen(): boolean {
    if (this.#unified === undefined) return true;
    return /^frozen 1$/mu.test(readOrNothing(`${this.#unified}/cgroup.events`));
  }

  /** False while the kernel still holds a group (a dying process, a descendant group): try again. */
  tryRemove(): boolean {
    let isGone = true;
    for (const directory of this.directories) {
      isGone = removeTree(directory) && isGone;
    }
    return isGone;
  }
}

function limitMemory(directory: string, version: 1 | 2, bytes: number): void {
  if (version === 2) {
    writeFileSync(`${directory}/memory.max`, String(bytes));
    // Swap would turn a hard limit into a slow one and take memory from the machine instead.
    writeIfThere(`${directory}/memory.swap.max`, '0');
    writeIfThere(`${directory}/memory.oom.group`, '1');
    return;
  }
  writeFileSync(`${directory}/memory.limit_in_bytes`, String(bytes));
  writeIfThere(`${directory}/memory.memsw.limit_in_bytes`, String(bytes));
}

/** Version 1 refuses a limit of memory beyond that of memory and swap together. */
function raiseMemory(directory: string, version: 1 | 2, bytes: number): void {
  if (version === 1) writeIfThere(`${directory}/memory.memsw.limit_in_bytes`, String(bytes));
  writeFileSync(join(directory, version === 2 ? 'memory.max' : 'memory.limit_in_bytes'), String(bytes));
}

/** As much of the processor as there is, while the launcher is in it. */
function favour(directory: string, version: 1 | 2): void {
  if (version === 2) writeFileSync(`${directory}/cpu.weight`, String(CPU_WEIGHT_MAX));
  else writeFileSync(`${directory}/cpu.shares`, String(CPU_SHARES_MAX));
}

/** The cap only where one was asked for; the share always. */
function limitCpu(
  directory: string,
  version: 1 | 2,
  { cpu, cpuShare }: Pick<CgroupLimits, 'cpu' | 'cpuShare'>,
): void {
  const shares = Math.round(Math.min(CPU_SHARES_MAX, Math.max(CPU_SHARES_MIN, cpuShare * CPU_SHARES_PER_MB)));
  // The kernel's own translation between the two scales (cgroup version 2 counts from 1 to 10,000).
  const weight = 1 + Math.round(((shares - CPU_SHARES_MIN) * 9999) / (CPU_SHARES_MAX - CPU_SHARES_MIN));
  if (version === 2) writeFileSync(`${directory}/cpu.weight`, String(weight));
  else writeFileSync(`${directory}/cpu.shares`, String(shares));
  if (cpu === undefined) return;
  const quotaUs = Math.max(CPU_QUOTA_US_MIN, Math.round(cpu * CPU_PERIOD_US));
  if (version === 2) {
    writeFileSync(`${directory}/cpu.max`, `${quotaUs} ${CPU_PERIOD_US}`);
    return;
  }
  writeFileSync(`${directory}/cpu.cfs_period_us`, String(CPU_PERIOD_US));
  writeFileSync(`${directory}/cpu.cfs_quota_us`, String(quotaUs));
}

/** The kernel has all files of a kind or none. */
const absentNames = new Set<string>();
const presentNames = new Set<string>();

function writeIfThere(file: string, text: string): void {
  const name = basename(file);
  if (absentNames.has(name)) return;
  try {
    writeFileSync(file, text);
  } catch (error) {
    if (existsSync(file) || !existsSync(dirname(file))) throw error;
    absentNames.add(name);
  }
}

/** A group whose last process has ended may be removed between two looks at it. */
function writeUnlessGone(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    if (existsSync(file)) throw error;
  }
}

/** Of a group and of the groups below it, which a container runtime may have made. */
function processLines(directory: string): string[] {
  const own = readOrNothing(`${directory}/cgroup.procs`).split('\n');
  return [...own, ...childGroups(directory).flatMap((name) => processLines(join(directory, name)))];
}

function childGroups(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  } catch {
    return [];
  }
}

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

export function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

function removeTree(directory: string): boolean {
  if (!existsSync(directory)) return true;
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) removeTree(join(directory, entry.name));
    }
    rmdirSync(directory);
    return true;
  } catch {
    return false;
  }
}
