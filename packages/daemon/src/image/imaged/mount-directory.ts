import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { isShared, runMount, unmountBelow } from './run-mount.ts';

/** The directory below which images are mounted. */
export interface MountDirectory {
  readonly path: string;
  close(): Promise<void>;
}

/** Waits for the end of its input, which comes when the platform ends, whatever it dies of. */
const GUARD = 'read -r _; umount -R -l "$1"';

/**
 * Clears what a platform left that was killed, and makes a directory whose later mounts reach namespaces that are made
 * from now on: the launcher of sandboxes has mounts of its own, which follow the host's where those are shared. So this
 * comes before the launcher. The directory has a name of its own at each start, so that the guard of an earlier platform
 * never takes this one's. Where nothing can be mounted, nothing is.
 */
export async function openMountDirectory(parent: string): Promise<MountDirectory> {
  const path = join(parent, randomBytes(4).toString('hex'));
  const canMount = process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/dev/fuse');
  if (!canMount) return { path, close: () => Promise.resolve() };
  await unmountBelow(parent);
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(parent)) removeEmpty(join(parent, name));
  mkdirSync(path, { mode: 0o700 });
  const remove = async (): Promise<void> => {
    await unmountBelow(path);
    removeEmpty(path);
  };
  // As systemd sets up every machine. In a container, or without systemd, it has to be made so.
  if (isShared(path)) return { path, close: remove };
  try {
    await runMount('mount', ['--bind', path, path]);
    await runMount('mount', ['--make-shared', path]);
  } catch {
    // A container may forbid every mount; mounting the first image tells so, with the reason.
    return { path, close: remove };
  }
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', path], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without it the next start takes the directory away.
  const gone = once(guard, 'close').catch(() => undefined);
  guard.unref();
  guard.stdin.on('error', () => undefined);
  const close = async (): Promise<void> => {
    guard.stdin.end();
    guard.ref();
    await gone;
    await remove();
  };
  return { path, close };
}

/** What a mount was made on; one that is still there, or not empty, stays for the next start. */
function removeEmpty(path: string): void {
  try {
    for (const name of readdirSync(path)) rmdirSync(join(path, name));
    rmdirSync(path);
  } catch {
    // Nothing depends on it.
  }
}
