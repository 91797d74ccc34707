/**
 * What asked for an invocation: a call of the API, a trigger, the outcome of another invocation (`destination`), or a
 * person who runs one again (`redrive` of a dead letter, `replay` of a record).
 */
export const TRIGGER_KINDS = [
  'api',
  'http',
  'timer',
  'oss',
  'queue',
  'database',
  'eventbridge',
  'destination',
  'redrive',
  'replay',
] as const;

export type TriggerKind = (typeof TRIGGER_KINDS)[number];

/** Whether the caller waits for the answer, or it is kept for later. */
export type InvocationKind = 'sync' | 'async';

/** A stored name; one of a newer program is what every invocation is at least, a call. */
export function triggerKindOf(name: unknown): TriggerKind {
  return TRIGGER_KINDS.find((kind) => kind === name) ?? 'api';
}
