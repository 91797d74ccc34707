import { constants } from 'node:os';
import type { Fault } from '@thaw/protocol/error-code.ts';

/** What a command's exit code means: whose fault it is, so that a script can tell "fix my call" from "try again". */
export const EXIT_CODES = {
  ok: 0,
  platform: 1,
  caller: 2,
  function: 3,
} as const;

export const EXIT_CODE_HELP = `Exit codes:
  0    it worked
  1    the platform failed or is not running
  2    the call is wrong: arguments, files, rights, names
  3    the function itself failed
  130  interrupted (128 plus the number of the signal)`;

export function exitCodeOfFault(fault: Fault): number {
  return EXIT_CODES[fault];
}

/** The shell's convention for a command that a signal ended. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
