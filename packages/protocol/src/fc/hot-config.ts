import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { allowed, wholeNumber } from './fields.ts';

/** Ours, for runtime `hot`: the settings of a route of IronFunctions, under the names and with the defaults they have there. */
export const hotConfig = z.object(
  {
    format: z.enum(['http', 'default'], { error: allowed('http or default') }).default('http'),
    maxConcurrency: wholeNumber(1, LIMITS.instancesPerFunctionMax, 'processes').default(1),
    idleTimeout: wholeNumber(1, LIMITS.functionTimeoutSMax, 'seconds').default(30),
  },
  { error: allowed('an object') },
);
