import { z } from 'zod';
import { allowed, requiredText, wholeNumber } from '../fields.ts';

/** What `triggerConfig` of a queue trigger says. */
export const queueTriggerConfig = z.object(
  {
    queueName: requiredText(128),
    batchSize: wholeNumber(1, 1_000, 'messages').default(10),
    /** How long a batch may wait to fill. */
    batchWindowMs: wholeNumber(0, 300_000, 'ms').default(0),
  },
  { error: allowed('the text of a JSON object') },
);
export type QueueTriggerConfig = z.infer<typeof queueTriggerConfig>;
