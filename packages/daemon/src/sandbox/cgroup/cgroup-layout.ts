import { mountPath } from '../../base/mount-path.ts';

/**
 * Where this process stands in the machine's cgroups, read from `/proc/self/mountinfo` and `/proc/self/cgroup`.
 * A version 2 host has one hierarchy for everything; a hybrid one has a version 1 hierarchy for each controller and
 * an empty version 2 hierarchy, which still freezes and kills.
 */
export interface CgroupHierarchy {
  readonly version: 1 | 2;
  readonly mountPoint: string;
  /** Directory of the group that this process is in. */
  readonly ownDirectory: string;
  /** Controllers of a version 1 hierarchy; a version 2 one says in `cgroup.controllers` what it has. */
  readonly controllers: readonly string[];
}

const CONTROLLERS = ['memory', 'cpu', 'pids'];

export function cgroupHierarchies(mountinfo: string, ownGroups: string): CgroupHierarchy[] {
  const hierarchies: CgroupHierarchy[] = [];
  for (const line of mountinfo.split('\n')) {
    const [place = '', kind = ''] = line.split(' - ');
    const [, , , root = '', mountPoint = ''] = place.split(' ');
    const [type, , superOptions = ''] = kind.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const version = type === 'cgroup' ? 1 : 2;
    const controllers =
      version === 1 ? superOptions.split(',').filter((name) => CONTROLLERS.includes(name)) : [];
    if (version === 1 && controllers.length === 0) continue;
    const own = ownPath(ownGroups, version, controllers);
    if (own === undefined) continue;
    // A container sees a part of the hierarchy mounted: `root` is the part, and paths may be given from above it.
    const below = root !== '/' && (own === root || own.startsWith(`${root}/`)) ? own.slice(root.length) : own;
    const ownDirectory = `${mountPath(mountPoint)}${below === '/' ? '' : below}`;
    hierarchies.push({ version, mountPoint: mountPath(mountPoint), ownDirectory, controllers });
  }
  return hierarchies;
}

/** Lines are `<hierarchy id>:<controllers>:<path>`; version 2 has id 0 and no controllers. */
function ownPath(ownGroups: string, version: 1 | 2, controllers: readonly string[]): string | undefined {
  for (const line of ownGroups.split('\n')) {
    const [id, names = '', ...rest] = line.split(':');
    const path = rest.join(':');
    if (path === '') continue;
    if (version === 2 ? id === '0' : controllers.some((name) => names.split(',').includes(name))) return path;
  }
  return undefined;
}
