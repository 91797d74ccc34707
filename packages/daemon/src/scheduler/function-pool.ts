import type { InstanceState } from '../instance/instance-state.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { FunctionGroup } from './function-group.ts';
import type { PoolCounts } from './policy.ts';
import { isLeaving, restingSince, type PooledInstance } from './pooled-instance.ts';
import { SessionTable } from './session-table.ts';
import { WaiterQueue } from './waiter-queue.ts';
import type { Waiter } from './waiter.ts';

/** Before the first start has been measured. */
const COLD_START_MS_GUESS = 300;

/** What the pool knows of one of its instances. */
export interface Standing {
  readonly startedMs: number;
  /** The keep-alive clock when it was used last. */
  clock: number;
  startFailed: boolean;
}

/** All instances of one revision of one function, and those who wait for one. Bookkeeping only: `Scheduler` decides. */
export class FunctionPool<I extends PooledInstance> {
  readonly group: FunctionGroup<I>;
  /** As it was asked for last: settings that change no instance change without a new revision. */
  runnable: RunnableVersion;
  readonly waiters: WaiterQueue<Waiter<I>>;
  readonly instances = new Map<I, Standing>();
  /** Only where requests of a session belong together. */
  readonly sessions: SessionTable<I> | undefined;
  /**
   * Instances with a free slot; the one used last is at the end and is taken first, so that the rest can grow idle.
   * Frozen ones are apart: they are taken when no other is left.
   */
  readonly #awake: I[] = [];
  readonly #frozen: I[] = [];
  #starting = 0;
  #draining = 0;
  leaving = 0;
  /** A newer revision has taken its place: nothing idles here any more. */
  isRetired = false;
  /** How many instances are to be there at any time. */
  target = 0;
  /** A look for room for sessions that begin is due. */
  awaitsSessionRoom = false;
  /** Starts and early ends of provisioned instances in a row that went wrong, and what the last one said. */
  failures = 0;
  lastFailure: string | undefined;
  /** Monotonic time before which no provisioned instance is started again. */
  retryAtMs = 0;
  uses = 0;
  coldStartMs = COLD_START_MS_GUESS;

  constructor(group: FunctionGroup<I>, runnable: RunnableVersion, waitersMax: number) {
    this.group = group;
    this.runnable = runnable;
    this.waiters = new WaiterQueue(waitersMax);
    this.sessions =
      runnable.sessionAffinity === undefined ? undefined : new SessionTable(runnable.sessionAffinity);
  }

  counts(room: number, nowMs: number): PoolCounts {
    return {
      // Those who wait for an instance of their session need no other.
      waiting: this.waiters.size,
      freeSlots: this.#freeSlots(nowMs),
      startingInstances: this.#starting,
      lastingInstances: this.lasting,
      provisioned: nowMs < this.retryAtMs ? 0 : this.provisioned,
      room,
      slotsPerInstance: this.slotsPerInstance,
    };
  }

  /** Requests that a fresh instance covers. */
  get slotsPerInstance(): number {
    const slots = this.runnable.instanceConcurrency;
    return this.sessions === undefined ? slots : Math.min(slots, this.sessions.rules.sessionsPerInstance);
  }

  get waiting(): number {
    return this.waiters.size + (this.sessions?.waiting ?? 0);
  }

  get provisioned(): number {
    return this.isRetired ? 0 : this.target;
  }

  /** Instances that are not on their way out. */
  get lasting(): number {
    return this.instances.size - this.#draining;
  }

  get ready(): number {
    return this.lasting - this.#starting;
  }

  get isEmpty(): boolean {
    return this.instances.size === 0 && this.waiting === 0 && this.provisioned === 0;
  }

  get hasStarting(): boolean {
    return this.#starting > 0;
  }

  addStarting(instance: I, standing: Standing): void {
    this.instances.set(instance, standing);
    this.#starting += 1;
  }

  endStarting(): void {
    this.#starting -= 1;
  }

  /** Keeps count of those on their way out, and of those among them that nothing holds any more. */
  countLeaving(instance: I, from: InstanceState): void {
    this.#draining += Number(instance.state.name === 'draining') - Number(from.name === 'draining');
    this.leaving += Number(isLeaving(instance.state)) - Number(isLeaving(from));
  }

  /** The most recently used instance with a free slot, an awake one first. It stays listed while it has another one. */
  takeFree(): I | undefined {
    return this.#awake.at(-1) ?? this.#frozen.at(-1);
  }

  /** The same, with room for one more session. */
  takeFreeForSession(sessions: SessionTable<I>, nowMs: number): I | undefined {
    const hasRoom = (instance: I): boolean => sessions.room(instance, nowMs) > 0;
    return this.#awake.findLast(hasRoom) ?? this.#frozen.findLast(hasRoom);
  }

  /** Lists or unlists the instance as its state says. */
  relist(instance: I): void {
    const isFrozen = instance.state.name === 'frozen';
    const isFree = instance.hasFreeSlot();
    list(this.#awake, instance, isFree && !isFrozen);
    list(this.#frozen, instance, isFree && isFrozen);
  }

  /** Idle and frozen instances, the longest unused first. */
  resting(): I[] {
    return [...this.#frozen, ...this.#awake]
      .filter((instance) => restingSince(instance.state) !== undefined)
      .toSorted((a, b) => (restingSince(a.state) ?? 0) - (restingSince(b.state) ?? 0));
  }

  /** Those among them that are not needed as provisioned ones. */
  spare(): I[] {
    const surplus = this.lasting - this.provisioned;
    return surplus <= 0 ? [] : this.resting().slice(0, surplus);
  }

  #freeSlots(nowMs: number): number {
    const slots = this.runnable.instanceConcurrency;
    const { sessions } = this;
    if (slots === 1 && sessions === undefined) return this.#awake.length + this.#frozen.length;
    const free = [...this.#awake, ...this.#frozen];
    if (sessions === undefined) return free.reduce((sum, instance) => sum + slots - instance.inFlight, 0);
    return free.reduce(
      (sum, instance) => sum + Math.min(slots - instance.inFlight, sessions.room(instance, nowMs)),
      0,
    );
  }
}

function list<I>(listed: I[], instance: I, belongs: boolean): void {
  const index = listed.lastIndexOf(instance);
  if (belongs && index === -1) listed.push(instance);
  else if (!belongs && index !== -1) listed.splice(index, 1);
}
