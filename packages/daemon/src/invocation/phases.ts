import type { TimelinePhase } from '@thaw/protocol/timeline.ts';

/** Milliseconds by phase of an invocation that still runs; undefined: the phase did not happen, or not yet. */
export type Phases = Record<TimelinePhase, number | undefined>;

/** Every phase has its place from the start: objects that grow fields in varying order are slow to read, and this one is read for each request. */
export function newPhases(): Phases {
  return {
    queued: undefined,
    placed: undefined,
    stem: undefined,
    sandbox: undefined,
    boot: undefined,
    load: undefined,
    initializer: undefined,
    thaw: undefined,
    handler: undefined,
    firstByte: undefined,
    lastByte: undefined,
    preFreeze: undefined,
  };
}
