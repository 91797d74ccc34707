import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { platformHash } from '../launcher/launcher.ts';
import { processStat } from '../../base/process-stat.ts';

/** What a platform has left on the machine: cgroups, named network namespaces, interfaces. */
export function traces(runDirectory: string): string[] {
  const hash = platformHash(runDirectory);
  const groups = cgroupDirectories('/sys/fs/cgroup', `thaw-${hash}`).flatMap((path) => [
    `cgroup ${path}`,
    ...readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [`cgroup ${path}/${entry.name}`] : [],
    ),
  ]);
  const names = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  const interfaces = readFileSync('/proc/self/net/dev', 'utf8')
    .split('\n')
    .map((line) => line.trim());
  return [
    ...groups,
    ...names.filter((name) => name.startsWith(`thaw-${hash}`)).map((name) => `namespace ${name}`),
    ...interfaces
      .filter((name) => name.startsWith(`thaw${hash.slice(0, 6)}`))
      .map((name) => `interface ${name}`),
  ];
}

export function isGone(pid: number): boolean {
  const state = processStat(pid)?.state;
  return state === undefined || state === 'Z' || state === 'X';
}

function cgroupDirectories(below: string, name: string, depth = 5): string[] {
  if (depth === 0 || !existsSync(below)) return [];
  return readdirSync(below, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory()) return [];
    const path = join(below, entry.name);
    return entry.name === name ? [path] : cgroupDirectories(path, name, depth - 1);
  });
}
