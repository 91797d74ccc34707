import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Why images cannot be mounted lazily in a test here, or undefined where they can. */
export function whyNoLazyMounts(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root to mount';
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse';
  const known = readFileSync('/proc/filesystems', 'utf8');
  return known.includes('erofs') && known.includes('fuse') ? undefined : 'the kernel has no EROFS or no FUSE';
}

/** Path and digest of every file below a directory, in the order of names. */
export function fileDigests(directory: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
    found.push(`${path.slice(directory.length)} ${digest}`);
  }
  return found.toSorted((left, right) => (left < right ? -1 : 1));
}

/** What was read of the mounts goes out of memory, so that it is read again. Clean pages of everybody, nothing else. */
export function dropPageCache(): void {
  execFileSync('sh', ['-c', 'echo 1 > /proc/sys/vm/drop_caches']);
}
