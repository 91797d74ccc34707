import { spawnProgram } from '../machine/program.ts';
import type { PlainProgram, Sandbox } from './sandboxed-program.ts';

const ANSWER_MS_MAX = 60_000;

/** Starts a program that prints its answer, and gives the milliseconds until the answer was read. It must end by itself. */
export async function firstAnswerMs(sandbox: Sandbox, program: PlainProgram): Promise<number> {
  const [command, ...args] = await sandbox.command(program);
  const startMs = performance.now();
  const child = spawnProgram(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: ANSWER_MS_MAX });
  let answeredMs: number | undefined;
  let stderr = '';
  child.stdout?.on('data', () => {
    answeredMs ??= performance.now();
  });
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (answeredMs !== undefined && code === 0) resolve(answeredMs - startMs);
      else reject(new Error(`${sandbox.name} gave no answer (exit ${code}): ${stderr.slice(0, 2000)}`));
    });
  });
}
