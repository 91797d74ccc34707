import { posix } from 'node:path';
import type { SandboxMount, SandboxSpec } from '../sandbox.ts';
import { SANDBOX_UID, type BaseRoot } from './base-root.ts';
import { isGuardedVariable } from './guarded-variables.ts';

/**
 * How the user inside is separated from users of the host.
 *  - `hostUser`: the platform is root. A user namespace that maps the host's root would leave root's files in reach
 *    of a mistake in any mount, so there is none: the command runs as a host user id that owns nothing.
 *  - `userNamespace`: the platform is an ordinary user, and only a user namespace lets it make the others.
 */
export type Identity =
  | { readonly kind: 'hostUser'; readonly uid: number }
  | { readonly kind: 'userNamespace' };

export interface BubblewrapSetting {
  readonly baseRoot: BaseRoot;
  readonly identity: Identity;
  /** bwrap makes a network namespace with a loopback only; otherwise it is started in the network to use. */
  readonly makesNetwork: boolean;
  /** Where the late targets and `/tmp` come from; undefined: there are no such targets. */
  readonly places: { readonly sources: ReadonlyMap<string, string>; readonly temporary: string } | undefined;
}

/** File descriptors at which bwrap finds what the launcher passes. */
export const ARGUMENTS_FD = 3;
export const SECCOMP_FD = 4;
export const STATUS_FD = 5;
export const GO_FD = 6;

const SHARED_MEMORY_BYTES_MAX = 64 * 1024 * 1024;

/** The arguments of bwrap up to the command. */
export function bubblewrapArguments(
  spec: SandboxSpec,
  { baseRoot, identity, makesNetwork, places }: BubblewrapSetting,
): string[] {
  const late = [...(places?.sources ?? [])].map(([target, source]) => ({ source, target, readOnly: true }));
  return [
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup-try',
    ...(makesNetwork ? ['--unshare-net'] : []),
    ...identityArguments(identity),
    '--die-with-parent',
    '--new-session',
    '--hostname',
    'thaw',
    '--clearenv',
    ...variableArguments(spec),
    ...baseRoot.argumentsForBwrap,
    ...(identity.kind === 'hostUser' ? baseRoot.userArguments(identity.uid) : []),
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--perms',
    '1777',
    '--size',
    String(sharedBytes(spec)),
    '--tmpfs',
    '/dev/shm',
    '--remount-ro',
    '/dev',
    ...(places === undefined
      ? ['--perms', '1777', '--size', String(temporaryBytes(spec)), '--tmpfs', '/tmp']
      : ['--bind', places.temporary, '/tmp']),
    '--perms',
    '0755',
    '--dir',
    '/run',
    '--perms',
    '0755',
    '--dir',
    '/var',
    '--symlink',
    '../tmp',
    '/var/tmp',
    ...mountArguments([...spec.mounts, ...late]),
    // Without this, the root itself would be a place to write without limit for whoever owns it.
    '--remount-ro',
    '/',
    '--seccomp',
    String(SECCOMP_FD),
    '--json-status-fd',
    String(STATUS_FD),
    '--block-fd',
    String(GO_FD),
    '--chdir',
    spec.workingDirectory,
  ];
}

/** Pages of a tmpfs count as memory of the sandbox, so that a larger one could never be filled. */
export function temporaryBytes(limits: Pick<SandboxSpec, 'temporaryBytesMax' | 'memoryBytesMax'>): number {
  return Math.min(limits.temporaryBytesMax, limits.memoryBytesMax);
}

/** For `/dev/shm`. */
export function sharedBytes(limits: Pick<SandboxSpec, 'temporaryBytesMax' | 'memoryBytesMax'>): number {
  return Math.min(temporaryBytes(limits), SHARED_MEMORY_BYTES_MAX);
}

function identityArguments(identity: Identity): string[] {
  if (identity.kind === 'userNamespace') {
    return [
      '--unshare-user',
      '--uid',
      String(SANDBOX_UID),
      '--gid',
      String(SANDBOX_UID),
      '--cap-drop',
      'ALL',
    ];
  }
  // What setpriv needs to become another user; it gives them up with the rest.
  const needed = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'];
  return ['--cap-drop', 'ALL', ...needed.flatMap((capability) => ['--cap-add', capability])];
}

/** Those that could mislead setpriv come last, behind it (`guarded-variables.ts`). */
export function variableArguments({ environment }: SandboxSpec): string[] {
  const harmless = Object.entries(environment).filter(([name]) => !isGuardedVariable(name));
  return harmless.flatMap(([name, value]) => ['--setenv', name, value]);
}

const depth = ({ target }: SandboxMount): number => target.split('/').length;

/** Shallow targets first, so that a mount below another one's target is not hidden by it. */
export function mountArguments(mounts: readonly SandboxMount[]): string[] {
  const sorted = mounts.toSorted((one, other) => depth(one) - depth(other));
  const made = new Set<string>();
  return sorted.flatMap(({ source, target, readOnly }) => [
    ...parentArguments(target, made),
    readOnly ? '--ro-bind' : '--bind',
    source,
    target,
  ]);
}

/** bwrap makes missing parents for their maker alone; the user inside must be able to pass. */
function parentArguments(target: string, made: Set<string>): string[] {
  const parents: string[] = [];
  for (let parent = posix.dirname(target); parent !== '/' && parent !== '.'; parent = posix.dirname(parent)) {
    if (made.has(parent) || BASE_DIRECTORIES.has(parent)) break;
    made.add(parent);
    parents.unshift(parent);
  }
  return parents.flatMap((parent) => ['--perms', '0755', '--dir', parent]);
}

const BASE_DIRECTORIES: ReadonlySet<string> = new Set(['/tmp', '/dev/shm', '/run', '/var', '/usr', '/etc']);
