import { ThawError } from '@thaw/protocol/thaw-error.ts';

export interface PageRequest {
  readonly limit: number;
  /** What the page before gave. */
  readonly nextToken?: string | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Absent on the last page. */
  readonly nextToken?: string;
}

/**
 * One page of things that are ordered by a key of their own. The token is the last key that was given, so a page
 * starts right behind it whatever was created or deleted in between: nothing that stays is skipped or given twice.
 */
export function pageOf<T>(
  sorted: readonly T[],
  keyOf: (item: T) => string,
  request: PageRequest,
  compare: (left: string, right: string) => number = byCodeUnits,
): Page<T> {
  const after = request.nextToken === undefined ? undefined : decodeToken(request.nextToken);
  const start = after === undefined ? 0 : firstBehind(sorted, (item) => compare(keyOf(item), after) > 0);
  const items = sorted.slice(start, start + request.limit);
  const last = items.at(-1);
  if (last === undefined || start + request.limit >= sorted.length) return { items };
  return { items, nextToken: encodeToken(keyOf(last)) };
}

export function byCodeUnits(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

export function encodeToken(key: string): string {
  return Buffer.from(key).toString('base64url');
}

/** Throws INVALID_ARGUMENT for a token that no page gave. */
export function decodeToken(token: string): string {
  const key = Buffer.from(token, 'base64url').toString();
  if (key === '' || encodeToken(key) !== token) {
    throw new ThawError('INVALID_ARGUMENT', 'nextToken is not one that a list gave back');
  }
  return key;
}

/** Index of the first item that the predicate holds for; it holds for all behind that one. */
export function firstBehind<T>(sorted: readonly T[], isBehind: (item: T) => boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = sorted[middle];
    if (item !== undefined && isBehind(item)) high = middle;
    else low = middle + 1;
  }
  return low;
}
