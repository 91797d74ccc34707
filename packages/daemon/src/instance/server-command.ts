import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import { inCode } from './program-layout.ts';

/**
 * Makes sure that a program's command, where it is a file of the function's own, is there and can be executed. Whatever
 * else is wrong with a command is found when it is started.
 */
export async function requireCommand(
  runnable: RunnableVersion,
  [program]: readonly [string, ...string[]],
): Promise<void> {
  if (!program.startsWith('/code/') || runnable.container !== undefined) return;
  const path = inCode(program, runnable.codeDirectory);
  const problem = (await can(path, constants.F_OK))
    ? (await can(path, constants.X_OK))
      ? undefined
      : 'cannot be executed: it lacks the permission, which zip files can carry'
    : 'is not in its code package';
  if (problem === undefined) return;
  const message = `function '${runnable.functionName}': its command ${program} ${problem}`;
  throw new ThawError('CODE_NOT_LOADED', message, {
    details: { function: runnable.functionName },
    functionError: { errorType: 'CommandNotFound', errorMessage: message, stackTrace: [] },
  });
}

async function can(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}
