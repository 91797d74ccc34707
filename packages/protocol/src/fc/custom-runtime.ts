import { z } from 'zod';
import { allowed, requiredText, text, wholeNumber } from './fields.ts';

const WORDS_MAX = 64;
const WORD_CHARACTERS_MAX = 4096;

export const words = z
  .array(
    text(WORD_CHARACTERS_MAX).refine((word) => !word.includes('\0'), {
      error: 'must not hold a NUL character',
    }),
    { error: allowed('a list of texts') },
  )
  .max(WORDS_MAX, { error: `must hold at most ${WORDS_MAX} texts` })
  .default([]);

const portRule = allowed('a port from 1 to 65535');
export const port = z
  .number({ error: portRule })
  .int({ error: portRule })
  .min(1, { error: portRule })
  .max(65_535, { error: portRule });

/** FC's defaults. */
const healthCheckConfig = z.object(
  {
    httpGetUrl: requiredText(256).regex(/^\/[\x21-\x7e]*$/, { error: 'must be a path that starts with /' }),
    initialDelaySeconds: wholeNumber(0, 120, 'seconds').default(0),
    periodSeconds: wholeNumber(1, 120, 'seconds').default(3),
    timeoutSeconds: wholeNumber(1, 3, 'seconds').default(1),
    failureThreshold: wholeNumber(1, 120, 'probes').default(3),
    successThreshold: wholeNumber(1, 120, 'probes').default(1),
  },
  { error: allowed('an object with httpGetUrl') },
);

/** Clients send an object without a path where nothing is configured. */
export const healthCheckSetting = z.preprocess(
  (given) => (isUnset(given) ? undefined : given),
  healthCheckConfig.optional(),
);

/** The web server of a `custom` runtime: what starts it, where it listens, and how to see that it is well. */
export const customRuntimeConfig = z.object(
  {
    command: words,
    args: words,
    port: port.optional(),
    healthCheckConfig: healthCheckSetting,
  },
  { error: allowed('an object') },
);

function isUnset(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return given === null;
  const url: unknown = Reflect.get(given, 'httpGetUrl');
  return url === undefined || url === '';
}
