import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Deadline } from '../base/deadline-wheel.ts';
import type { Instance } from '../instance/instance.ts';

/**
 * One invocation that wants a slot. It belongs to no instance: whichever becomes free or ready first takes it. Exactly
 * one of the callbacks is called, unless the waiter is withdrawn before.
 */
export interface Waiter {
  onSlot(instance: Instance): void;
  onRefused(error: ThawError): void;
  /** Set by the scheduler while the waiter is queued. */
  deadline?: Deadline | undefined;
}
