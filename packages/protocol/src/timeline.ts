/**
 * The measured phases of one invocation, in the order in which they happen. Each is a duration in milliseconds with
 * microsecond resolution, measured where the phase happens; a phase that did not happen (no cold start, no thaw) is
 * absent, never zero.
 */
export const TIMELINE_PHASES = [
  /** Accepted by the gateway until a slot was found. Covers sandbox, boot, load and initializer when it waited for them. */
  'queued',
  /** Slot found until the request was written to the instance. */
  'placed',
  /** Cold start from a stem: it was asked for until it had the function's code and limits. Then there is no `sandbox` and no `boot`. */
  'stem',
  /** Cold start: the sandbox was asked for until its first process ran our shim's connect (minus boot). */
  'sandbox',
  /** Cold start: the runtime's own start until it said hello. */
  'boot',
  /** Cold start: the user's code was loaded. */
  'load',
  /** Cold start: the user's initializer ran. */
  'initializer',
  /** The frozen instance was continued, its after-thaw hook included. */
  'thaw',
  /** Request written to the instance until its answer ended. */
  'handler',
  /** Accepted until the first byte of the answer came from the instance. */
  'firstByte',
  /** Accepted until the last byte of the answer was handed to the caller's connection. */
  'lastByte',
  /** After the answer: the before-freeze hook. Never part of the caller's latency. */
  'preFreeze',
] as const;

export type TimelinePhase = (typeof TIMELINE_PHASES)[number];

/** Milliseconds by phase. */
export type Timeline = Readonly<Partial<Record<TimelinePhase, number | undefined>>>;
