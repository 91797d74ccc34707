import { z } from 'zod';
import { allowed, requiredText, oneOf, wholeNumber } from '../fields.ts';

/** What `triggerConfig` of a database trigger says. */
export const databaseTriggerConfig = z.object(
  {
    /** `postgres://…` or `sqlite:/path/to/file.db`. */
    url: requiredText(2048),
    tables: z
      .array(requiredText(256), { error: allowed('a list of tables') })
      .min(1, { error: 'must name a table at least' })
      .max(100, { error: 'must name at most 100 tables' }),
    operations: z
      .array(oneOf(['insert', 'update', 'delete']), { error: allowed('a list of operations') })
      .min(1, { error: 'must hold an operation at least' })
      .default(['insert', 'update', 'delete']),
    batchSize: wholeNumber(1, 10_000, 'changes').default(100),
    batchWindowMs: wholeNumber(0, 300_000, 'ms').default(200),
  },
  { error: allowed('the text of a JSON object') },
);
export type DatabaseTriggerConfig = z.infer<typeof databaseTriggerConfig>;
