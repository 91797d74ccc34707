import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { Client, Query } from './client.ts';

/** More pages than this mean that a platform answers the same token forever. */
const PAGES_MAX = 10_000;

/** Every item of a paged list: follows `nextToken` to the end. */
export async function listAll<T>(client: Client, path: string, field: string, query: Query = {}): Promise<T[]> {
  const items: T[] = [];
  let nextToken: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer: Record<string, unknown> = await client.json({
      method: 'GET',
      path,
      query: { limit: LIMITS.listLimitMax, ...query, nextToken },
    });
    const found = answer[field];
    if (Array.isArray(found)) items.push(...(found as T[]));
    const token = answer['nextToken'];
    if (typeof token !== 'string' || token === '') return items;
    nextToken = token;
  }
  throw new ThawError('INTERNAL', `reading ${path}: the list does not end after ${PAGES_MAX} pages`);
}
