import { RecordKind } from '../catalog/record-kinds.ts';
import type { Records } from '../store/records.ts';
import type { StoredTriggerLog } from './trigger-log.ts';
import type { TriggerState } from './trigger-source.ts';

/** What a source remembers of a trigger, by the trigger's id: another one of the same name begins anew. */
export const TRIGGER_STATES = new RecordKind<unknown>('trigger-state');
/** By the trigger's id. */
export const TRIGGER_LOGS = new RecordKind<StoredTriggerLog>('trigger-log');

export function recordedState(records: Records, triggerId: string): TriggerState {
  const key = TRIGGER_STATES.key(triggerId);
  return {
    get: () => records.get(key)?.value,
    set: (value) => {
      if (value === undefined) records.delete(key);
      else records.put(key, value);
    },
  };
}
