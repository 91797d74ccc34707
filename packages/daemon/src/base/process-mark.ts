import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { processStat } from './process-stat.ts';

/** In the run directory, by the launcher: it outlives a platform that was killed while it ends the sandboxes. */
export const LAUNCHER_MARK = join('launcher', 'process');

/** Names this process for good: its pid, when it was started, and among which processes that pid means it. */
export function processMark(): string {
  return `${process.pid} ${startTicks(process.pid) ?? 0} ${pidNamespace()}`;
}

/** Whether the process of a mark lives; true also where that cannot be told, of a process elsewhere. */
export function isMarkAlive(mark: string): boolean {
  const [pid = '', ticks = '', namespace = ''] = mark.trim().split(' ');
  return namespace !== pidNamespace() || startTicks(Number(pid)) === Number(ticks);
}

/** Undefined where there is no such process, or a dead one. */
function startTicks(pid: number): number | undefined {
  const stat = processStat(pid);
  return stat === undefined || stat.state === 'Z' || stat.state === 'X' ? undefined : stat.startTicks;
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return 'unknown';
  }
}
