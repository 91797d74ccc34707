import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const CGROUPS = '/sys/fs/cgroup';

/**
 * The processes of an instance as the host sees them, the sandbox's outermost first and the runtime last. They are looked
 * for below the launcher, which itself enters an instance's cgroup for the moment of a fork.
 */
export async function instanceProcesses(platformPid: number, instanceId: string): Promise<number[]> {
  const found: number[] = [];
  let generation = await childrenOf([platformPid]);
  while (generation.length > 0) {
    generation = await childrenOf(generation);
    for (const pid of generation) if (await isInCgroup(pid, instanceId)) found.push(pid);
  }
  return found;
}

/** A file in the instance's own `/tmp`. */
export function fileInside(pid: number, name: string): string {
  return join('/proc', String(pid), 'root/tmp', name);
}

/** Lets go whatever waits in the instance for this file; an instance that has ended waits for nothing. */
export async function openGate(pid: number): Promise<void> {
  await writeFile(fileInside(pid, 'go'), '').catch(() => undefined);
}

/** A process that has ended and that nobody has waited for is still there. */
export function isThere(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

export async function cgroupsOf(instanceId: string): Promise<string[]> {
  const found: string[] = [];
  for (const hierarchy of await directoriesIn(CGROUPS)) {
    for (const platform of await directoriesIn(hierarchy)) {
      if (existsSync(join(platform, instanceId))) found.push(join(platform, instanceId));
    }
  }
  return found;
}

/** The kernel keeps a list for each thread that forks; a process that has ended meanwhile has none. */
async function childrenOf(parents: readonly number[]): Promise<number[]> {
  const children: number[] = [];
  for (const pid of parents) {
    for (const thread of await readdir(`/proc/${pid}/task`).catch(() => [])) {
      const text = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '');
      children.push(...text.split(' ').filter(Boolean).map(Number));
    }
  }
  return children;
}

async function isInCgroup(pid: number, instanceId: string): Promise<boolean> {
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  return groups.split('\n').some((line) => line.endsWith(`/${instanceId}`));
}

async function directoriesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => (entry.isDirectory() ? [join(directory, entry.name)] : []));
}
