import { inspect } from 'node:util';

/** What the platform says to its operator. Functions' own output never goes here. */
export type PlatformLog = (level: 'info' | 'warning' | 'error', message: string, cause?: unknown) => void;

/** One line for each message on standard error, the chain of causes behind it. */
export const logToStderr: PlatformLog = (level, message, cause) => {
  process.stderr.write(`${new Date().toISOString()} ${level} ${message}${causes(cause)}\n`);
};

function causes(cause: unknown): string {
  if (cause === undefined) return '';
  if (!(cause instanceof Error)) return `: ${inspect(cause)}`;
  return `: ${cause.message}${causes(cause.cause)}`;
}
