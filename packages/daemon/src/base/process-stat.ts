import { readFileSync } from 'node:fs';

export interface ProcessStat {
  readonly pid: number;
  /** One letter, `man 5 proc`: Z is a process that has ended, T one that is stopped. */
  readonly state: string;
  readonly parent: number;
  readonly session: number;
  /** Clock ticks since boot: with the pid it names one process for good. */
  readonly startTicks: number;
}

/** Undefined where there is no such process. */
export function processStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name may contain anything, also parentheses and blanks; the fields after the last one are numbers.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    pid,
    state: fields[0] ?? '',
    parent: Number(fields[1]),
    session: Number(fields[3]),
    startTicks: Number(fields[19]),
  };
}
