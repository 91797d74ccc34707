import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/**
 * Runs a program that acknowledges its writes line by line, kills it without warning once `acknowledgements` of them
 * have come, and gives every complete line it wrote: those are what must still be there.
 */
export async function killAfterAcknowledgements(
  program: readonly [string, ...string[]],
  acknowledgements: number,
): Promise<readonly string[]> {
  const child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === acknowledgements) child.kill('SIGKILL');
  }
  await exited;
  if (lines.length < acknowledgements)
    throw new Error(`the writer ended by itself after ${lines.length} lines`);
  return lines;
}
