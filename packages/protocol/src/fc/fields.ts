import { z } from 'zod';

/** The kinds of field that the API's structures are made of. Messages follow the field's name in a sentence. */

/** `is required` when nothing was sent, else what is allowed. */
export function allowed(what: string): (issue: { readonly input?: unknown }) => string {
  return (issue) => (issue.input === undefined ? 'is required' : `must be ${what}`);
}

export function text(charactersMax: number): z.ZodString {
  const error = allowed(`a text of at most ${charactersMax} characters`);
  return z.string({ error }).max(charactersMax, { error });
}

export function requiredText(charactersMax: number): z.ZodString {
  const error = allowed(`a text of 1 to ${charactersMax} characters`);
  return z.string({ error }).min(1, { error }).max(charactersMax, { error });
}

export function wholeNumber(min: number, max: number, unit: string): z.ZodNumber {
  const error = allowed(`a whole number of ${unit} from ${min} to ${max}`);
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

export function flag(): z.ZodBoolean {
  return z.boolean({ error: allowed('true or false') });
}

export function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
): z.ZodEnum<{
  [K in T[number]]: K;
}> {
  return z.enum(values, { error: allowed(`one of ${values.join(', ')}`) });
}

/** Names of functions, aliases, triggers and layers: safe in paths and host names, never a number. */
export function resourceName(charactersMax: number): z.ZodString {
  const error = allowed(
    `1 to ${charactersMax} letters, digits, "_" or "-" that start with a letter or "_" (A-Z, a-z)`,
  );
  return z
    .string({ error })
    .max(charactersMax, { error })
    .regex(/^[A-Za-z_][A-Za-z0-9_-]*$/, { error });
}

export const functionName = resourceName(64);
export const aliasName = resourceName(128).refine((name) => name !== 'LATEST', {
  error: 'must not be LATEST, which is the name of the version being worked on',
});
export const triggerName = resourceName(128);
export const layerName = resourceName(64);

export const description = text(256);

/** `LATEST` or a published version's number. */
export const versionId = z
  .string({ error: allowed('LATEST or a version number') })
  .regex(/^(LATEST|[1-9][0-9]{0,8})$/, { error: 'must be LATEST or a version number' });

/** A version or an alias. */
export const qualifier = z
  .string({ error: allowed('LATEST, a version number or the name of an alias') })
  .regex(/^([1-9][0-9]{0,8}|[A-Za-z_][A-Za-z0-9_-]{0,127})$/, {
    error: 'must be LATEST, a version number or the name of an alias',
  });
