import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { allowed, wholeNumber } from './fields.ts';

export const putConcurrencyInput = z.object(
  {
    reservedConcurrency: wholeNumber(
      0,
      LIMITS.instancesPerFunctionMax * LIMITS.instanceConcurrencyMax,
      'requests',
    ),
  },
  { error: allowed('a JSON object') },
);
export type ConcurrencySettings = z.infer<typeof putConcurrencyInput>;
