import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Output } from '../output/output.ts';
import type { PreDeployAction } from '../s-yaml/resource.ts';

/** Runs a command of `actions: pre-deploy` in a shell, its output shown line by line on stderr. */
export async function runPreDeploy(
  action: PreDeployAction,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  output.note(output.styleError('dim', `$ ${action.run}`));
  // A group of its own, so that an interruption reaches what the shell has started too.
  const child = spawn(action.run, {
    cwd: action.directory,
    shell: true,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    show(child.stdout, output);
    show(child.stderr, output);
    await once(child, 'close');
    if (child.exitCode === 0) return;
    throw new ThawError(
      'INVALID_ARGUMENT',
      `the pre-deploy command \`${action.run}\` ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`,
      { details: { advice: 'Its output is above; nothing was deployed for this resource.' } },
    );
  } catch (error) {
    if (error instanceof ThawError) throw error;
    throw new ThawError('INVALID_ARGUMENT', `starting the pre-deploy command in ${action.directory}`, {
      cause: error,
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function show(stream: Readable, output: Output): void {
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', (line) => {
    output.stderr.write(`${output.styleError('dim', `  ${line}`)}\n`);
  });
}
