import { timingSafeEqual } from 'node:crypto';

/** Compares a secret text in time that depends on its length only. */
export function isEqualText(actual: string, expected: string): boolean {
  const left = Buffer.from(actual);
  const right = Buffer.from(expected);
  return left.length === right.length && timingSafeEqual(left, right);
}
