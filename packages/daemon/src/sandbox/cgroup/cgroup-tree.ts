import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { until } from '../launcher/until.ts';
import { Cgroup, type CgroupLimits } from './cgroup.ts';
import { cgroupHierarchies, type CgroupHierarchy } from './cgroup-layout.ts';

/** Where the daemon and the launcher go when their own group must be empty of processes. */
const HOME_LEAF = 'thaw-home';
/** What ends may stay in its group for a moment longer. */
const CLOSE_MS_MAX = 5000;

export interface OpenHierarchy {
  readonly version: 1 | 2;
  /** The group that the launcher lives in and returns to. */
  readonly home: string;
  /** The platform's own group, parent of one group for each sandbox. */
  readonly directory: string;
  readonly controllers: readonly string[];
}

/**
 * The platform's part of the machine's cgroups: a group `thaw-<hash>` in every hierarchy that we may write, below
 * our own group where that is allowed, since an operator's limits on the daemon must hold for its sandboxes too.
 */
export class CgroupTree {
  readonly hierarchies: readonly OpenHierarchy[];
  readonly shortcomings: readonly string[];

  constructor(name: string, found: readonly CgroupHierarchy[] = hierarchiesOfThisProcess()) {
    this.hierarchies = found.flatMap((hierarchy) => openHierarchy(hierarchy, name) ?? []);
    this.shortcomings = missing(this.hierarchies);
  }

  /** `isEntered`: to be forked `inside`. */
  create(id: string, limits: CgroupLimits, isEntered: boolean): Cgroup {
    return new Cgroup(this.hierarchies, id, limits, isEntered);
  }

  /** Groups that an earlier launcher left. */
  leftovers(): Cgroup[] {
    const ids = new Set(this.hierarchies.flatMap(({ directory }) => childGroups(directory)));
    return [...ids].map((id) => new Cgroup(this.hierarchies, id, undefined));
  }

  /**
   * Runs `fork` with the launcher inside the group, so that the child is born there: no instant exists in which it
   * runs without its limits. Measured on this design's machine (Linux 6.18, hybrid, four hierarchies): 0.2 ms in and
   * 0.2 ms out, and 5 to 11 ms in when no process changed groups for some 30 ms, which is an RCU grace period.
   * Placing the child after the fork waits for the same grace period, needs a gate that holds the child back, and
   * a shell that places itself costs 2 ms more (docs/decisions/0001-sandbox-start.md).
   */
  inside<T>(cgroup: Cgroup, fork: () => T): T {
    try {
      for (const directory of cgroup.directories) writeFileSync(join(directory, 'cgroup.procs'), '0');
      return fork();
    } finally {
      for (const { home } of this.hierarchies) writeFileSync(join(home, 'cgroup.procs'), '0');
    }
  }

  /** A group that still holds something after this is cleared by the next start of this platform. */
  async close(): Promise<void> {
    await until(() => this.hierarchies.every(({ directory }) => isRemoved(directory)), CLOSE_MS_MAX);
  }
}

function hierarchiesOfThisProcess(): CgroupHierarchy[] {
  return cgroupHierarchies(
    readFileSync('/proc/self/mountinfo', 'utf8'),
    readFileSync('/proc/self/cgroup', 'utf8'),
  );
}

function openHierarchy(hierarchy: CgroupHierarchy, name: string): OpenHierarchy | undefined {
  // A daemon that stepped aside before (`enableControllers`) has its platform's groups beside it, not below.
  const { ownDirectory } = hierarchy;
  const place = basename(ownDirectory) === HOME_LEAF ? dirname(ownDirectory) : ownDirectory;
  for (const parent of new Set([place, hierarchy.mountPoint])) {
    const directory = join(parent, name);
    try {
      const home =
        hierarchy.version === 2 ? enableControllers(parent, hierarchy.ownDirectory) : hierarchy.ownDirectory;
      mkdirSync(directory, { recursive: true });
      // Being able to move there and back is what matters, and only trying tells.
      writeFileSync(join(directory, 'cgroup.procs'), '0');
      writeFileSync(join(home, 'cgroup.procs'), '0');
      const controllers =
        hierarchy.version === 2 ? enableControllersForSandboxes(directory) : hierarchy.controllers;
      return { version: hierarchy.version, home, directory, controllers };
    } catch {
      removeIfEmpty(directory);
    }
  }
  return undefined;
}

/**
 * Version 2 gives controllers only to children of a group that holds no process itself. When the parent is our own
 * group and all processes in it are the daemon and the launcher, they step aside into a leaf; a group shared with
 * others (a login session) is left alone. Returns the group in which the launcher then lives.
 */
function enableControllers(parent: string, own: string): string {
  const wanted = wantedControllers(parent);
  const enabled = words(join(parent, 'cgroup.subtree_control'));
  const lacking = wanted.filter((controller) => !enabled.includes(controller));
  if (lacking.length === 0) return own;
  const change = lacking.map((controller) => `+${controller}`).join(' ');
  try {
    writeFileSync(join(parent, 'cgroup.subtree_control'), change);
    return own;
  } catch (error) {
    const members = words(join(parent, 'cgroup.procs')).map(Number);
    const ours = [process.pid, process.ppid];
    if (parent !== own || members.some((pid) => !ours.includes(pid))) throw error;
    const leaf = join(parent, HOME_LEAF);
    mkdirSync(leaf, { recursive: true });
    for (const pid of members) writeFileSync(join(leaf, 'cgroup.procs'), String(pid));
    writeFileSync(join(parent, 'cgroup.subtree_control'), change);
    return leaf;
  }
}

function enableControllersForSandboxes(directory: string): string[] {
  const wanted = wantedControllers(directory);
  if (wanted.length > 0) {
    writeFileSync(
      join(directory, 'cgroup.subtree_control'),
      wanted.map((controller) => `+${controller}`).join(' '),
    );
  }
  return wanted;
}

function wantedControllers(directory: string): string[] {
  const available = words(join(directory, 'cgroup.controllers'));
  return ['memory', 'cpu', 'pids'].filter((controller) => available.includes(controller));
}

/** A shortcoming that a driver with a limit of its own takes away. */
export const PROCESSES_UNLIMITED =
  'the number of processes is not limited: no writable cgroup with the pids controller';

function missing(hierarchies: readonly OpenHierarchy[]): string[] {
  const has = (controller: string): boolean =>
    hierarchies.some(({ controllers }) => controllers.includes(controller));
  const absent = [
    has('memory') ? undefined : 'memory is not limited: no writable cgroup with the memory controller',
    has('cpu') ? undefined : 'CPU is not limited: no writable cgroup with the cpu controller',
    has('pids') ? undefined : PROCESSES_UNLIMITED,
    hierarchies.some(({ version }) => version === 2)
      ? undefined
      : 'sandboxes are frozen by SIGSTOP, which their processes can see: no writable version 2 cgroup',
  ];
  return absent.filter((text) => text !== undefined);
}

function childGroups(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );
}

function words(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split(/\s+/u)
    .filter((word) => word !== '');
}

function isRemoved(directory: string): boolean {
  removeIfEmpty(directory);
  return !existsSync(directory);
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // It was never made, or it belongs to somebody.
  }
}
