import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CallerRequest } from '../../gateway/door.ts';

/** Whether the end of the log goes with the answer: `x-fc-log-type`. Throws INVALID_ARGUMENT for any other type. */
export function wantsLogTail({ headers }: Pick<CallerRequest, 'headers'>): boolean {
  const type = headers['x-fc-log-type'] ?? 'None';
  if (type === 'None' || type === 'Tail') return type === 'Tail';
  throw new ThawError('INVALID_ARGUMENT', `x-fc-log-type must be None or Tail, not '${String(type)}'`);
}
