import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { LaunchDriver } from '../launcher/launch.ts';
import { ProcessTree } from '../launcher/process-table.ts';

const PROBE_TIMEOUT_MS = 10_000;
const MEMORY_BYTES = 64 * 1024 * 1024;

/**
 * Runs `true` in a real sandbox: whether bubblewrap is installed says little, since kernels, containers and security
 * modules forbid parts of what it needs. Rejects with what bwrap wrote.
 */
export async function probeBubblewrap(driver: LaunchDriver): Promise<void> {
  const launch = await driver.prepare({
    id: 'probe',
    command: ['true'],
    environment: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    workingDirectory: '/',
    mounts: [],
    memoryBytesMax: MEMORY_BYTES,
    cpu: 1,
    cpuShare: 512,
    processesMax: 16,
    temporaryBytesMax: MEMORY_BYTES,
    network: 'none',
    outputSocket: '',
  });
  try {
    const child = spawn(launch.program, launch.args, {
      env: {},
      // bwrap ends with a fault when it cannot write its status; `ignore` leaves descriptors above 2 closed.
      stdio: ['ignore', 'ignore', 'pipe', ...launch.files, 'pipe'],
      detached: true,
      timeout: PROBE_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    for (const file of launch.files) closeSync(file);
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    const tree = new ProcessTree();
    if (child.pid !== undefined) tree.add(child.pid);
    // A bwrap that fails halfway leaves a process that waits for it for ever, with the descriptors open.
    child.once('exit', () => {
      tree.kill();
    });
    const [code, complaint] = await Promise.all([ended, child.stderr === null ? '' : text(child.stderr)]);
    if (code !== 0) throw new Error(complaint.trim() || `bwrap ended with ${code}`);
  } finally {
    launch.release();
  }
}
