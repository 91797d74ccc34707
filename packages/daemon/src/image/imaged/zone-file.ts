import { readFileSync } from 'node:fs';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as z from 'zod';
import type { ZoneOptions } from './messages.ts';

const NODES_MAX = 1000;
const address = z.url({ protocol: /^http$/u }).regex(/^http:\/\/[^/]+:[0-9]+$/u);
const ZONE = z
  .object({ self: address, nodes: z.array(address).min(1).max(NODES_MAX), secret: z.string().min(16) })
  .refine(({ self, nodes }) => nodes.includes(self), { error: 'nodes must name self' });

/**
 * Who fetches parts of images for each other: `{"self": "http://10.0.0.1:9701", "nodes": [...], "secret": "..."}`, where
 * `self` is the address that this node listens at. Throws INVALID_ARGUMENT.
 */
export function readZoneFile(path: string): ZoneOptions {
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', `the zone file ${path} cannot be read`, { cause });
  }
  const parsed = ZONE.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new ThawError('INVALID_ARGUMENT', `the zone file ${path}: ${where} ${issue?.message ?? 'is wrong'}`);
}
