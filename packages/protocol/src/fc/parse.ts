import type { z } from 'zod';
import { ThawError } from '../thaw-error.ts';

/**
 * Reads what a client sent, at the edge, once: inside the types are trusted. Throws INVALID_ARGUMENT with a sentence
 * that names the first wrong field and says what is allowed there. Unknown fields are left out, and a field that is
 * `null` counts as not sent, as in FC's own clients.
 */
export function parseFc<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(withoutNulls(value, 2));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.map(String).join('.') ?? '';
  throw new ThawError('INVALID_ARGUMENT', field === '' ? sentence(issue) : `${field} ${sentence(issue)}`, {
    details: { field },
  });
}

function sentence(issue: z.core.$ZodIssue | undefined): string {
  return issue?.message ?? 'is not valid';
}

/** Goes as deep as the API's own structures do; free-form values below stay as they are. */
function withoutNulls(value: unknown, levels: number): unknown {
  if (levels === 0 || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== null)
      .map(([name, field]) => [name, withoutNulls(field, levels - 1)]),
  );
}
