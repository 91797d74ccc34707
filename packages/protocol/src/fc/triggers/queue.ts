import { z } from 'zod';
import { allowed, resourceName, wholeNumber } from '../fields.ts';

export const queueName = resourceName(128);

/** What `triggerConfig` of a queue trigger says. */
export const queueTriggerConfig = z.object(
  {
    queueName,
    batchSize: wholeNumber(1, 1_000, 'messages').default(10),
    /** How long a batch may wait to fill. */
    batchWindowMs: wholeNumber(0, 300_000, 'ms').default(0),
    /** Batches that are with the function at the same time. */
    maxConcurrency: wholeNumber(1, 100, 'batches').default(5),
  },
  { error: allowed('the text of a JSON object') },
);
export type QueueTriggerConfig = z.infer<typeof queueTriggerConfig>;
