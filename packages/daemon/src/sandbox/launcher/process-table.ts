import { readdirSync } from 'node:fs';
import { processStat, type ProcessStat } from '../../base/process-stat.ts';
import { signalIfThere } from '../cgroup/cgroup.ts';

/**
 * The processes of a sandbox where no cgroup holds them: the descendants of its first processes, and what is left of
 * its session. A process that leaves both is lost; the driver's shortcomings say so.
 */
export class ProcessTree {
  readonly #roots: ProcessStat[] = [];

  /** A pid with another start time than `startTicks` is another process, and is not added. */
  add(pid: number, startTicks?: number): void {
    const stat = processStat(pid);
    if (stat === undefined) {
      // It has ended already, but its session may live on.
      if (startTicks !== undefined)
        this.#roots.push({ pid, state: 'Z', parent: 0, session: pid, startTicks });
      return;
    }
    if (startTicks === undefined || stat.startTicks === startTicks) this.#roots.push(stat);
  }

  members(): number[] {
    return this.#living().map(({ pid }) => pid);
  }

  kill(): void {
    // Stopped first, so that no process makes another behind the reader's back.
    for (const pid of this.members()) signalIfThere(pid, 'SIGSTOP');
    for (const pid of this.members()) signalIfThere(pid, 'SIGKILL');
  }

  requestFreeze(frozen: boolean): void {
    for (const pid of this.members()) signalIfThere(pid, frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  isFrozen(): boolean {
    return this.#living().every(({ state }) => state === 'T' || state === 't');
  }

  #living(): ProcessStat[] {
    const all = readdirSync('/proc')
      .filter((name) => /^\d+$/u.test(name))
      .flatMap((name) => processStat(Number(name)) ?? []);
    const isRoot = (stat: ProcessStat): boolean =>
      this.#roots.some(({ pid, startTicks }) => stat.pid === pid && stat.startTicks === startTicks);
    const members = new Set(
      all
        .filter(
          (stat) =>
            isRoot(stat) ||
            this.#roots.some(({ pid, startTicks }) => stat.session === pid && stat.startTicks >= startTicks),
        )
        .map(({ pid }) => pid),
    );
    for (let grown = true; grown;) {
      grown = false;
      for (const { pid, parent } of all) {
        if (!members.has(pid) && members.has(parent)) {
          members.add(pid);
          grown = true;
        }
      }
    }
    return all.filter(({ pid, state }) => members.has(pid) && state !== 'Z' && state !== 'X');
  }
}
