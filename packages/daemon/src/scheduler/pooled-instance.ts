import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { InstanceState } from '../instance/instance-state.ts';

/**
 * What the scheduler needs of an instance. Contract, which `Instance` and `SimulatedInstance` keep
 * (`pooled-instance-contract.ts`):
 *  1. `start` is called once, by the scheduler. It tells `onStartFailed` at most once, and before the change to
 *     `draining`; then the instance stops.
 *  2. Every change of `state` is told to `onChange` at once, after it happened, with the state before it.
 *  3. `hasFreeSlot` says whether a request could be handed over now. A frozen instance has free slots: it thaws for
 *     the request. Handing one over changes the state before the call returns.
 *  4. `drain` takes no new requests and ends when those that run have; `kill` ends at once. Both may come at any time,
 *     more than once, and always lead to `stopped`, which `stopped` settles with.
 */
export interface PooledInstance {
  readonly state: InstanceState;
  readonly inFlight: number;
  readonly stopped: Promise<void>;
  hasFreeSlot(): boolean;
  start(): Promise<void>;
  drain(): void;
  kill(reason?: ThawError): void;
}

export interface PooledInstanceEvents<I> {
  onChange(instance: I, from: InstanceState): void;
  onStartFailed(instance: I, error: ThawError): void;
}

/** Monotonic time since which it is not in use, or undefined while it is in use or cannot be used. */
export function restingSince(state: InstanceState): number | undefined {
  return state.name === 'idle' || state.name === 'frozen' ? state.sinceMs : undefined;
}

/** It drains and nothing runs on it any more: its memory comes free in a moment. */
export function isLeaving(state: InstanceState): boolean {
  return state.name === 'draining' && state.inFlight === 0;
}
