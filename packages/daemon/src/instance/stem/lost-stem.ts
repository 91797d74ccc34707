import type { SandboxExit } from '../../sandbox/sandbox.ts';

/** Why a write or a read finds no reader: the kernel says so where what was sent has not been read. */
const UNREAD = new Set(['ECONNRESET', 'EPIPE']);

/**
 * Whether a stem that ended after it was told what it is was lost, and another start would be the first: it read nothing
 * of what it was told, or somebody from outside killed it before it said a word. Code that ends its own process, or
 * takes more memory than it may, would do so again.
 */
export function isLostStem(exit: SandboxExit, linkCause: unknown): boolean {
  if (exit.outOfMemory) return false;
  return exit.signal === 'SIGKILL' || isUnread(linkCause);
}

function isUnread(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && UNREAD.has(String(cause.code));
}
