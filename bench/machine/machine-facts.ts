import { execFile } from 'node:child_process';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { promisify } from 'node:util';

/** Where and when something was measured. */
export interface MachineFacts {
  readonly date: string;
  readonly commit: string;
  readonly processors: string;
  readonly kernel: string;
  readonly memoryGb: number;
  readonly node: string;
  /** Of the last minute, when the run ended: figures of a busy machine are worth little. */
  readonly load: number;
}

export async function machineFacts(): Promise<MachineFacts> {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: await commit(),
    processors: `${availableParallelism()} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    kernel: release(),
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    node: process.versions.node,
    load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  };
}

async function commit(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: import.meta.dirname,
    });
    return stdout.trim();
  } catch {
    return 'unknown';
  }
}
