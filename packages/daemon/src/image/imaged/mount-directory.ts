import { existsSync, mkdirSync } from 'node:fs';
import { isShared, mountsBelow, runMount, unmountBelow } from './run-mount.ts';

/** The directory below which images are mounted. */
export interface MountDirectory {
  readonly path: string;
  close(): Promise<void>;
}

/**
 * Clears what a platform left that was killed, and makes the directory one whose later mounts reach namespaces that are
 * made from now on: the launcher of sandboxes has mounts of its own, which follow the host's where those are shared. So
 * this comes before the launcher. Where nothing can be mounted, nothing is.
 */
export async function openMountDirectory(path: string): Promise<MountDirectory> {
  const canMount = process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/dev/fuse');
  if (!canMount) return { path, close: () => Promise.resolve() };
  await unmountBelow(path);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  // As systemd sets up every machine. In a container, or without systemd, it has to be made so.
  if (isShared(path)) return { path, close: () => Promise.resolve() };
  try {
    await runMount('mount', ['--bind', path, path]);
    await runMount('mount', ['--make-shared', path]);
  } catch {
    // A container may forbid every mount; mounting the first image tells so, with the reason.
  }
  const close = async (): Promise<void> => {
    if (mountsBelow(path).length > 0) await unmountBelow(path);
  };
  return { path, close };
}
