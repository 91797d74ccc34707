import { randomBytes } from 'node:crypto';

/** A text that no other revision has, not even one of an earlier function of the same name. */
export function newRevision(): string {
  return randomBytes(9).toString('base64url');
}
