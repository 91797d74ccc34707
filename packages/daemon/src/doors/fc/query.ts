import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** The query as a plain object; of equal names the last one counts. */
export function queryFields(query: URLSearchParams): Record<string, unknown> {
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, value] of query) if (value !== '') fields[name] = value;
  return fields;
}

/** The named fields parsed: clients send lists and objects as JSON texts. Throws INVALID_ARGUMENT. */
export function withJsonFields(
  fields: Record<string, unknown>,
  names: readonly string[],
): Record<string, unknown> {
  const parsed = { ...fields };
  for (const name of names) {
    const text = parsed[name];
    if (typeof text !== 'string') continue;
    try {
      parsed[name] = JSON.parse(text);
    } catch (error) {
      throw new ThawError('INVALID_ARGUMENT', `the query ${name} is not JSON`, {
        cause: error,
        details: { field: name },
      });
    }
  }
  return parsed;
}
