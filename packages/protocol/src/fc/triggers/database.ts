import { z } from 'zod';
import { allowed, requiredText, oneOf, wholeNumber } from '../fields.ts';

export const OPERATIONS = ['insert', 'update', 'delete'] as const;

/** `-1`: a batch that fails is tried until it succeeds, and everything behind it waits. */
export const RETRY_WITHOUT_END = -1;

const URL_SHAPE = allowed('postgres://… or sqlite:/path/to/file.db');

/** What `triggerConfig` of a database trigger says. */
export const databaseTriggerConfig = z.object(
  {
    /** `postgres://user:password@host:port/database` or `sqlite:/path/to/file.db`. */
    url: requiredText(2048).refine((url) => /^(?:postgres(?:ql)?:\/\/.|sqlite:.)/u.test(url), {
      error: URL_SHAPE,
    }),
    /** `table` or `schema.table`, in the letters that the database has; quoted where a name holds a dot. */
    tables: z
      .array(requiredText(256), { error: allowed('a list of tables') })
      .min(1, { error: 'must name a table at least' })
      .max(100, { error: 'must name at most 100 tables' }),
    operations: z
      .array(oneOf(OPERATIONS), { error: allowed('a list of operations') })
      .min(1, { error: 'must hold an operation at least' })
      .default([...OPERATIONS]),
    batchSize: wholeNumber(1, 10_000, 'changes').default(100),
    /** How long a batch may wait to fill. */
    batchWindowMs: wholeNumber(0, 300_000, 'ms').default(200),
    /**
     * How often a batch is tried again that the function fails on, before it is split to find the change that the
     * function cannot take. What is not the function's fault is tried again without end.
     */
    maxRetries: wholeNumber(RETRY_WITHOUT_END, 1_000, 'retries').default(5),
    /** Batches that run at once. Changes of one key are never in two of them. */
    parallelism: wholeNumber(1, 32, 'batches').default(1),
  },
  { error: allowed('the text of a JSON object') },
);
export type DatabaseTriggerConfig = z.infer<typeof databaseTriggerConfig>;
