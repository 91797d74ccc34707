import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { Client, Query } from './client.ts';

/** More pages than this mean that a platform answers the same token forever. */
const PAGES_MAX = 10_000;

type Page<T> = { readonly nextToken?: string } & {
  readonly [field: string]: readonly T[] | string | undefined;
};

/** Every item of a paged list: follows `nextToken` to the end. */
export async function listAll<T>(
  client: Client,
  path: string,
  field: string,
  query: Query = {},
): Promise<T[]> {
  const items: T[] = [];
  let nextToken: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer = await client.json<Page<T>>({
      method: 'GET',
      path,
      query: { limit: LIMITS.listLimitMax, ...query, nextToken },
    });
    const found = answer[field];
    if (Array.isArray(found)) items.push(...found);
    nextToken = answer.nextToken;
    if (nextToken === undefined || nextToken === '') return items;
  }
  throw new ThawError('INTERNAL', `reading ${path}: the list does not end after ${PAGES_MAX} pages`);
}
