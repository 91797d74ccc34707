import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, type Stats } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { takeLock } from './exclusive-lock.ts';
import { mountPath } from './mount-path.ts';
import { isMarkAlive, LAUNCHER_MARK } from './process-mark.ts';
import { RUN_LOCK } from './run-directory.ts';

/** What stands here tells the next start of the same platform which processes to end, where no cgroup does. */
const RECORDS = [join('launcher', 'sandboxes'), join('launcher', 'uplinks')];
/** Of one start; what is more waits for the next one. */
const REMOVED_MAX = 256;
const RUN_DIRECTORY = /^thaw-[\da-f]{12}$/u;
const GONE = /^thaw-[\da-f]{12}\.gone$/u;

/**
 * Removes the run directories here whose platforms were killed and not started again, and gives their names. One whose
 * platform or launcher lives stays, as does one whose mounts or processes may still be there, one of another user, and one that has no
 * lock, since nothing says whose it is. It gets another name under its lock before anything is taken from it: a platform
 * that is started again meanwhile makes itself a new one.
 */
export async function removeLeftoverRunDirectories(home: string): Promise<readonly string[]> {
  const mounts = mountPoints();
  const names = readdirSync(home)
    .filter((name) => RUN_DIRECTORY.test(name) || GONE.test(name))
    .slice(0, REMOVED_MAX);
  const removed: string[] = [];
  for (const name of names) {
    const path = join(home, name);
    if (!isOurDirectory(path) || mounts.some((mount) => mount.startsWith(`${path}/`))) continue;
    const gone = GONE.test(name) ? path : putAside(path);
    if (gone === undefined) continue;
    // Links are removed, never followed.
    await rm(gone, { recursive: true, force: true, maxRetries: 3 });
    removed.push(basename(gone, '.gone'));
  }
  return removed;
}

/** Where it is then; undefined where somebody lives who uses it, or where that cannot be told. */
function putAside(path: string): string | undefined {
  const file = join(path, RUN_LOCK);
  try {
    const { ino } = lstatSync(file);
    const url = pathToFileURL(file);
    // Never made here: it would be a lock that nobody holds, in somebody's directory.
    url.search = '?mode=rw';
    const lock = takeLock(url, 0);
    try {
      // Another may have put it aside meanwhile, and a platform have been started in its place.
      if (lstatSync(file).ino !== ino || isNeeded(path)) return undefined;
      renameSync(path, `${path}.gone`);
      return `${path}.gone`;
    } finally {
      lock.close();
    }
  } catch {
    return undefined;
  }
}

function isNeeded(path: string): boolean {
  const mark = join(path, LAUNCHER_MARK);
  if (existsSync(mark) && isMarkAlive(readFileSync(mark, 'utf8'))) return true;
  return RECORDS.some((name) => existsSync(join(path, name)) && readdirSync(join(path, name)).length > 0);
}

function isOurDirectory(path: string): boolean {
  const found: Stats | undefined = lstatSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.isDirectory() && found.uid === process.getuid?.();
}

function mountPoints(): string[] {
  let text: string;
  try {
    text = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').map((line) => mountPath(line.split(' ')[4] ?? ''));
}
