import { readdirSync, readFileSync } from 'node:fs';

/** Processor time of each thread of these processes, in nanoseconds; one that ends meanwhile is left out. */
export function threadNanoseconds(pids: readonly number[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const pid of pids) {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const [spent = ''] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
        found.set(`${pid}/${thread}`, Number(spent));
      }
    } catch {
      // It has ended.
    }
  }
  return found;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  return kilobytesOf(readFileSync(`/proc/${pid}/status`, 'utf8'), 'VmRSS') * 1024;
}

export interface MemoryFigures {
  readonly processes: number;
  /** Bytes: pages that several processes share are divided among them. */
  readonly proportional: number;
  /** Bytes that no other process has. */
  readonly private: number;
}

/** Sums over processes; one that ends meanwhile counts nothing. */
export function memoryOf(pids: readonly number[]): MemoryFigures {
  let processes = 0;
  let proportional = 0;
  let unshared = 0;
  for (const pid of pids) {
    try {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      proportional += kilobytesOf(rollup, 'Pss') * 1024;
      unshared += (kilobytesOf(rollup, 'Private_Clean') + kilobytesOf(rollup, 'Private_Dirty')) * 1024;
      processes += 1;
    } catch {
      // It has ended.
    }
  }
  return { processes, proportional, private: unshared };
}

/** All processes below this one, without it. */
export function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = Number(statFields(Number(name))[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It has ended.
    }
  }
  const found: number[] = [];
  const left = [pid];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const below = children.get(next) ?? [];
    found.push(...below);
    left.push(...below);
  }
  return found;
}

/** Behind the name, which may hold spaces. */
function statFields(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function kilobytesOf(text: string, name: string): number {
  return Number(new RegExp(String.raw`^${name}:\s+(\d+)`, 'm').exec(text)?.[1] ?? 0);
}
