import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { ListedObject, ObjectPage, ObjectQuery } from '../../objects.ts';
import { afterPrefix, commonPrefix } from './key-order.ts';

/** Rows read at a time where many of them may fall under one prefix. */
const GROUPED_ROWS = 100;

/** One page of a bucket, by walking the keys in order; from a shared prefix the walk jumps behind all of its keys. */
export function listObjects(database: DatabaseSync, bucket: string, query: ObjectQuery): ObjectPage {
  const { prefix, delimiter, after, limit } = query;
  if (limit === 0) return { objects: [], prefixes: [], next: undefined };
  const columns = 'SELECT key, size, etag, modified_ms FROM objects WHERE bucket = ? AND key';
  const from = database.prepare(`${columns} >= ? AND key < ? ORDER BY key LIMIT ?`);
  const behind = database.prepare(`${columns} > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?`);
  const end = upperBound(prefix);
  const objects: ListedObject[] = [];
  const prefixes: string[] = [];
  let next: string | undefined;
  // Going on behind a whole prefix, not behind one of its keys.
  const skipped = commonPrefix(after, prefix, delimiter) === after ? after : undefined;
  let start: { readonly from: string } | { readonly behind: string } | undefined =
    after === '' ? { from: prefix } : { behind: after };
  if (skipped !== undefined) start = jump(skipped);
  let group: string | undefined;
  while (start !== undefined) {
    const rowsMax: number = delimiter === '' ? limit + 1 - objects.length : GROUPED_ROWS;
    const rows: readonly Record<string, unknown>[] =
      'from' in start
        ? from.all(bucket, later(start.from, prefix), end, rowsMax)
        : behind.all(bucket, start.behind, prefix, end, rowsMax);
    for (const row of rows) {
      const key = String(row['key']);
      if (group !== undefined && key.startsWith(group)) continue;
      group = commonPrefix(key, prefix, delimiter);
      if (objects.length + prefixes.length === limit) return { objects, prefixes, next };
      next = group ?? key;
      if (group !== undefined) prefixes.push(group);
      else objects.push(listed(row));
    }
    const last = rows[rowsMax - 1];
    if (last === undefined) break;
    start = group === undefined ? { behind: String(last['key']) } : jump(group);
  }
  return { objects, prefixes, next: undefined };
}

function jump(prefix: string): { readonly from: string } | undefined {
  const from = afterPrefix(prefix);
  return from === undefined ? undefined : { from };
}

/** Any blob comes after every text. */
function upperBound(prefix: string): SQLInputValue {
  return afterPrefix(prefix) ?? new Uint8Array(0);
}

function later(one: string, other: string): string {
  return Buffer.compare(Buffer.from(one), Buffer.from(other)) >= 0 ? one : other;
}

function listed(row: Record<string, unknown>): ListedObject {
  return {
    key: String(row['key']),
    size: Number(row['size']),
    etag: String(row['etag']),
    modifiedMs: Number(row['modified_ms']),
  };
}
