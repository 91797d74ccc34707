import { z } from 'zod';
import { aliasName, allowed, description, versionId } from './fields.ts';

const weightRule = allowed('a number from 0 to 1');

/** Shares of traffic by further version: together at most 1, the rest goes to the alias's own version. */
const additionalVersionWeight = z
  .record(
    versionId,
    z.number({ error: weightRule }).min(0, { error: weightRule }).max(1, { error: weightRule }),
    { error: allowed('an object of version numbers and shares from 0 to 1') },
  )
  // Shares are decimal fractions of clients: 0.1 + 0.2 + 0.7 must not count as more than 1.
  .refine((weights) => Object.values(weights).reduce((sum, share) => sum + share, 0) <= 1 + 1e-9, {
    error: 'must not add up to more than 1',
  });

export const createAliasInput = z.object(
  {
    aliasName,
    versionId,
    description: description.default(''),
    additionalVersionWeight: additionalVersionWeight.default({}),
  },
  { error: allowed('a JSON object') },
);
export type CreateAliasInput = z.infer<typeof createAliasInput>;

export const updateAliasInput = z.object(
  {
    versionId: versionId.optional(),
    description: description.optional(),
    additionalVersionWeight: additionalVersionWeight.optional(),
  },
  { error: allowed('a JSON object') },
);
export type UpdateAliasInput = z.infer<typeof updateAliasInput>;
