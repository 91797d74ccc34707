import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { allowed, description, oneOf, qualifier, text } from './fields.ts';
import { tag } from './tag.ts';

const limitRule = `must be a whole number from 1 to ${LIMITS.listLimitMax}`;

/** Queries are texts; a number arrives as its digits. */
export const limit = z
  .string()
  .regex(/^[0-9]{1,4}$/, { error: limitRule })
  .transform(Number)
  .refine((value) => value >= 1 && value <= LIMITS.listLimitMax, { error: limitRule })
  .default(LIMITS.listLimitDefault);

const prefix = text(128).default('');

export const pageQuery = z.object({ limit, nextToken: text(1024).optional(), prefix });

export const listFunctionsQuery = pageQuery.extend({
  description: description.optional(),
  functionName: text(64).optional(),
  runtime: text(64).optional(),
  resourceGroupId: text(128).optional(),
  fcVersion: text(8).optional(),
  gpuType: text(64).optional(),
  tags: z.array(tag).optional(),
});

export const listVersionsQuery = pageQuery.extend({
  direction: oneOf(['BACKWARD', 'FORWARD']).default('BACKWARD'),
});

/** Lists of one kind of setting over all functions. */
export const settingsQuery = pageQuery.extend({ functionName: text(64).optional() });

const number = z
  .string()
  .regex(/^[0-9]{1,9}$/, { error: 'must be a whole number' })
  .transform(Number);

export const layerVersionsQuery = z.object({ limit, startVersion: number.optional() });

export const qualifierQuery = z.object({ qualifier: qualifier.optional() });

/** `instanceIds` and `instanceStatus` arrive as lists in JSON. */
export const instancesQuery = z.object({
  qualifier: qualifier.optional(),
  instanceIds: z.array(text(128), { error: allowed('a list of instance ids') }).optional(),
  instanceStatus: z.array(text(64), { error: allowed('a list of states') }).optional(),
  limit: z
    .string()
    .regex(/^[0-9]{1,4}$/, { error: 'must be a whole number from 1 to 1000' })
    .transform(Number)
    .refine((value) => value >= 1 && value <= 1000, { error: 'must be a whole number from 1 to 1000' })
    .default(1000),
});
