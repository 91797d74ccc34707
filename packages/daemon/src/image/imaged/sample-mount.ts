import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** Why images cannot be mounted lazily in a test here, or undefined where they can. */
export function whyNoLazyMounts(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root to mount';
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse';
  const known = readFileSync('/proc/filesystems', 'utf8');
  return known.includes('erofs') && known.includes('fuse') ? undefined : 'the kernel has no EROFS or no FUSE';
}

/** What was read of the mounts goes out of memory, so that it is read again. Clean pages of everybody, nothing else. */
export function dropPageCache(): void {
  execFileSync('sh', ['-c', 'echo 1 > /proc/sys/vm/drop_caches']);
}
