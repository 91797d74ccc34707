/**
 * Ids of the tasks that events of a bus become. They are made of event and trigger, so that what is repeated after a
 * crash is one task; and where the trigger wants the answer on a bus, they say that it does, and how many answers have
 * led to the event. Only the platform gives tasks the kind `eventbridge`, so nobody else's ids count.
 */
export interface EventTaskOrigin {
  /** Of the event, on its bus. */
  readonly key: string;
  readonly triggerId: string;
  /** Answers of functions that led to the event; absent: the answer is not wanted. */
  readonly hops?: number | undefined;
}

/** Of an event whose answer is wanted. */
export type AskedEvent = EventTaskOrigin & { readonly hops: number };

/** A trigger's id is a UUID. */
const ASKED = /^asked-(\d{1,2})-(.+)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export function eventTaskId({ key, triggerId, hops }: EventTaskOrigin): string {
  return hops === undefined ? `event-${key}-${triggerId}` : `asked-${hops}-${key}-${triggerId}`;
}

/** Undefined for a task whose answer nobody wants on a bus. */
export function askedBy(taskId: string): AskedEvent | undefined {
  const [, hops = '', key = '', triggerId = ''] = ASKED.exec(taskId) ?? [];
  return triggerId === '' ? undefined : { key, triggerId, hops: Number(hops) };
}
