import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CallerRequest } from './door.ts';

/** Whether the caller waits for the answer: FC's `x-fc-invocation-type`. Throws INVALID_ARGUMENT for any other type. */
export function invocationTypeOf({ headers }: Pick<CallerRequest, 'headers'>): 'Sync' | 'Async' {
  const type = headers['x-fc-invocation-type'] ?? 'Sync';
  if (type === 'Sync' || type === 'Async') return type;
  throw new ThawError(
    'INVALID_ARGUMENT',
    `x-fc-invocation-type must be Sync or Async, not '${String(type)}'`,
  );
}
