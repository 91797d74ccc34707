import { z } from 'zod';
import { allowed, flag, text, wholeNumber } from './fields.ts';

const RETRIES_MAX = 8;
const EVENT_AGE_S_MAX = 604_800;

const destination = z.object({ destination: text(512).default('') }, { error: allowed('an object') });

export const putAsyncConfigInput = z.object(
  {
    asyncTask: flag().optional(),
    maxAsyncRetryAttempts: wholeNumber(0, RETRIES_MAX, 'retries').optional(),
    maxAsyncEventAgeInSeconds: wholeNumber(1, EVENT_AGE_S_MAX, 'seconds').optional(),
    destinationConfig: z
      .object(
        { onSuccess: destination.optional(), onFailure: destination.optional() },
        { error: allowed('an object') },
      )
      .optional(),
  },
  { error: allowed('a JSON object') },
);
export type AsyncSettings = z.infer<typeof putAsyncConfigInput>;
