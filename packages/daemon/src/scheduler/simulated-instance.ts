import assert from 'node:assert/strict';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import { inFlightOf, nextState, type InstanceEvent, type InstanceState } from '../instance/instance-state.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { PooledInstance, PooledInstanceEvents } from './pooled-instance.ts';

/**
 * An instance without a sandbox: the states of a real one, moved along by whoever holds it. With it the scheduler's
 * policy is tried on any number of instances in no time.
 */
export class SimulatedInstance implements PooledInstance {
  readonly runnable: RunnableVersion;
  readonly #clock: Clock;
  readonly #events: PooledInstanceEvents<SimulatedInstance>;
  readonly #stopped = Promise.withResolvers<void>();
  #state: InstanceState = { name: 'starting' };
  #isStarted = false;
  #isKilled = false;

  constructor(clock: Clock, events: PooledInstanceEvents<SimulatedInstance>, runnable: RunnableVersion) {
    this.#clock = clock;
    this.#events = events;
    this.runnable = runnable;
  }

  get state(): InstanceState {
    return this.#state;
  }

  get inFlight(): number {
    return inFlightOf(this.#state);
  }

  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** Its processes are told to end and have not ended yet: `exit` is due. */
  get isEnding(): boolean {
    return this.#isKilled && this.#state.name !== 'stopped';
  }

  hasFreeSlot(): boolean {
    const { name } = this.#state;
    if (name === 'idle' || name === 'frozen') return true;
    return (name === 'busy' || name === 'thawing') && this.inFlight < this.runnable.instanceConcurrency;
  }

  start(): Promise<void> {
    assert(!this.#isStarted, 'an instance is started once');
    this.#isStarted = true;
    return Promise.resolve();
  }

  becomeReady(): void {
    this.#apply({ type: 'ready', atMs: this.#clock.monotonicMs() });
  }

  failStart(error: ThawError): void {
    this.#events.onStartFailed(this, error);
    this.kill();
  }

  serve(): void {
    assert(this.hasFreeSlot(), 'a request was handed to an instance without a free slot');
    this.#apply({ type: 'slotTaken' });
  }

  release(): void {
    this.#apply({ type: 'slotReleased', atMs: this.#clock.monotonicMs() });
    if (this.#state.name === 'draining' && this.inFlight === 0) this.kill();
  }

  freeze(): void {
    this.#apply({ type: 'frozen' });
  }

  thaw(): void {
    this.#apply({ type: 'thawed', atMs: this.#clock.monotonicMs() });
  }

  drain(): void {
    if (this.#state.name === 'stopped' || this.#state.name === 'draining') return;
    this.#apply({ type: 'drain' });
    if (this.inFlight === 0) this.kill();
  }

  kill(): void {
    if (this.#isKilled) return;
    this.#isKilled = true;
    this.drain();
  }

  /** Its processes are gone, whoever ended them. */
  exit(): void {
    this.#isKilled = true;
    this.#apply({ type: 'exited' });
    this.#stopped.resolve();
  }

  #apply(event: InstanceEvent): void {
    const from = this.#state;
    const to = nextState(from, event);
    assert(to !== undefined, `an instance is ${from.name} and cannot take '${event.type}'`);
    this.#state = to;
    if (to !== from) this.#events.onChange(this, from);
  }
}
