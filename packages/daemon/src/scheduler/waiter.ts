import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Deadline } from '../base/deadline-wheel.ts';
import type { Instance } from '../instance/instance.ts';
import type { PooledInstance } from './pooled-instance.ts';

/**
 * One invocation that wants a slot. It belongs to no instance: whichever becomes free or ready first takes it, unless
 * it is part of a session. Exactly one of the callbacks is called, unless the waiter is withdrawn before.
 */
export interface Waiter<I extends PooledInstance = Instance> {
  onSlot(instance: I): void;
  onRefused(error: ThawError): void;
  /** Requests of one session go to one instance, where the function asks for that. */
  readonly sessionId?: string | undefined;
  /** Nobody waits for its answer: it lets others go first. */
  readonly isPatient?: boolean | undefined;
  /** Set by the scheduler while the waiter is queued. */
  deadline?: Deadline | undefined;
}
