import { z } from 'zod';
import { allowed, functionName, wholeNumber } from './fc/fields.ts';

/** What `/thaw/v1/dead-letters` takes. */

export const DEAD_LETTERS_PER_CALL_MAX = 500;

/** Which of them a call is about; absent fields narrow nothing. */
export const deadLettersInput = z.object(
  {
    functionName: functionName.optional(),
    limit: wholeNumber(1, DEAD_LETTERS_PER_CALL_MAX, 'dead letters').default(DEAD_LETTERS_PER_CALL_MAX),
    /** The `next` of the call before. */
    after: z.string({ error: allowed('a text') }).optional(),
  },
  { error: allowed('a JSON object') },
);
