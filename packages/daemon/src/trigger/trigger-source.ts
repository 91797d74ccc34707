import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { EventTrigger } from '../model/trigger.ts';

/**
 * One type of trigger: turns what happens outside into invocations. Contract:
 *  1. `attach` never throws and never waits: what cannot be reached now is tried again with growing pauses, and
 *     `target.report` says so meanwhile.
 *  2. What must not happen twice or be forgotten is kept in `target.state` before it is acted on or acknowledged.
 *  3. After `detach` resolves, nothing of the trigger runs, and attaching it again goes on where it was.
 *  4. `sampleEvent` needs nothing but the configuration.
 */
export interface TriggerSource<T extends EventTrigger = EventTrigger> {
  readonly triggerType: T['triggerType'];
  /** Throws INVALID_ARGUMENT for a configuration that no schema can judge: a date that never comes, a pattern. */
  check?(trigger: T): void;
  attach(trigger: T, target: TriggerTarget): AttachedTrigger;
  /**
   * Told of a trigger that is paused, at the latest before it is attached again: a source that must not make up for
   * what happened meanwhile forgets where it was.
   */
  paused?(trigger: T, state: TriggerState): void;
  /**
   * The trigger of this state is deleted and detached: takes back what is left of it outside. Told to every source, which
   * leaves alone what it did not write. Rejects where it could not be done; then it is asked again, with growing pauses
   * and after restarts, and the state stays until then.
   */
  removed?(state: unknown, signal: AbortSignal): Promise<void>;
  /**
   * Takes away what a deleted trigger left outside, as its state tells; a rejection is tried again. Every source is
   * asked of every state and leaves alone what is not its own.
   */
  removed?(state: unknown, signal: AbortSignal): Promise<void>;
  /** An event such as this trigger would send, for whoever tries the function. */
  sampleEvent(trigger: T): Buffer;
}

export interface AttachedTrigger {
  detach(): Promise<void>;
}

/** The function behind one trigger, as its source sees it. Each call is kept among the trigger's last deliveries. */
export interface TriggerTarget {
  /** What the trigger remembers across restarts. */
  readonly state: TriggerState;
  /**
   * Hands the event over as an asynchronous invocation; when the promise resolves, it is on disk. A task id that was
   * handed over before makes no second invocation. Rejects with a ThawError where nothing was accepted.
   */
  submit(event: Buffer, options?: SubmitOptions): Promise<{ readonly taskId: string }>;
  /** Invokes and waits for the answer, for sources that acknowledge by it. Never rejects. */
  invoke(event: Buffer, signal?: AbortSignal): Promise<InvokedEvent>;
  /** What keeps the trigger from working, or undefined when it works again. */
  report(problem: ThawError | undefined): void;
}

export interface SubmitOptions {
  /** The same id twice runs once. */
  readonly taskId?: string;
}

/** `error` is set for every outcome but success: the function's own failure too. */
export interface InvokedEvent {
  readonly requestId: string;
  readonly body: Buffer;
  readonly error?: ThawError;
}

/** A small JSON value for each trigger; what `set` was given is on disk when it returns. */
export interface TriggerState {
  get(): unknown;
  set(value: unknown): void;
}
