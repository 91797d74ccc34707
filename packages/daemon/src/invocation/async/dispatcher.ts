import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { Deadline, DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { LeasedTask, Queue } from '../../store/queue.ts';
import { AcceptPriority, WAVE_MS } from './accept-priority.ts';
import { LANE_LIMIT_MIN, nextLaneLimit } from './lane-limit.ts';
import { deferralMs } from './retry-policy.ts';

/** Asynchronous invocations that run at once, over all functions. */
const RUNNING_MAX_DEFAULT = 1024;
/** Tasks of one function in memory: taken and not started, running, and on their way to the disk. */
const HELD_PER_FUNCTION_MAX = 1024;
const LEASE_MAX = 64;
/** Ahead of those that run, so many are taken for each of them: the next is at hand when one ends. */
const LEASED_AHEAD = 4;
/** A lane that comes back for more so soon takes twice as many as before: each lease is a way to another thread. */
const LEASE_AGAIN_MS = 100;
/**
 * Of those that run, so many may wait for a slot, or as many as one instance has slots, so that one that starts is used
 * in full, or this share of the lane's bound. It is what an idle machine starts instances for at once.
 */
const AWAITING_SLOT_MIN = 2;
const AWAITING_SLOT_SHARE = 0.25;
const ADJUST_MS = 250;
/** The wall clock may be set back: no wait is longer than this without a look at it. */
const SLEEP_MS_MAX = 60_000;
const STORE_RETRY_MS = 1_000;

/** How one run ended for its line: a function that cannot be run at all now is left alone for a while. */
export type RunEnd = 'ran' | 'deferred';

export interface RunEvents {
  /** It has a slot; called at most once. */
  onStarted(): void;
  /** Another may take its place. */
  onEnded(end: RunEnd): void;
  /** What came of it is on disk, or its lease is lost; once, after `onEnded`. */
  onWritten(): void;
}

export interface TaskRun {
  /** Ends it as stopped. */
  stop(): void;
}

export interface DispatcherDeps {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly queue: Queue;
  readonly run: (task: LeasedTask, events: RunEvents) => TaskRun;
  /** Slots of one instance of the function, as far as it is known. */
  readonly slotsPerInstance: (functionName: string) => number;
  /** Share of the machine's processor time that was idle since the last call. */
  readonly idleShare: () => number;
  readonly onStoreFailed: (error: ThawError) => void;
  /** Runs at once, over all functions. */
  readonly runningMax?: number;
  /** Whether tasks that wait are begun slowly while many are being accepted. */
  readonly acceptsFirst?: boolean;
}

/** What waits and runs of one function. */
interface Lane {
  readonly functionName: string;
  readonly taken: LeasedTask[];
  readonly runs: Map<string, TaskRun>;
  limit: number;
  wasFull: boolean;
  running: number;
  awaitingSlot: number;
  unwritten: number;
  isLeasing: boolean;
  /** Tasks to have in memory, grown by how fast they go. */
  ahead: number;
  leasedMs: number;
  /** When the next task that is not in memory is due. */
  nextDueAt: number | undefined;
  /** The same of tasks that came while a lease was under way, whose answer may not know of them. */
  cameMeanwhile: number | undefined;
  deferredInRow: number;
  pausedUntil: number;
  timer: Deadline | undefined;
}

/**
 * Runs due tasks: fair between functions, within what each may run. A function's lane takes few tasks at a time from its
 * own line of the queue, so the length of the line matters to nobody else; where all together run as many as may, the
 * lanes take turns.
 */
export class Dispatcher {
  readonly #deps: DispatcherDeps;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that could start another run, in the order of their turns. */
  readonly #turns = new Set<Lane>();
  readonly #priority: AcceptPriority | undefined;
  #heldBack: Deadline | undefined;
  #running = 0;
  #adjusting: Deadline | undefined;
  #isTakingTurns = false;
  #isStopped = false;
  #onDrained: (() => void) | undefined;

  constructor(deps: DispatcherDeps) {
    this.#deps = deps;
    this.#priority = deps.acceptsFirst === true ? new AcceptPriority() : undefined;
  }

  /** Somebody waits for a task to be accepted; `accepted` or `refused` follows. */
  accepting(): void {
    this.#priority?.noteAsked(this.#deps.clock.monotonicMs());
  }

  accepted(functionName: string, dueAt: number): void {
    this.#priority?.noteAnswered(true);
    this.wake(functionName, dueAt);
  }

  /** Nothing new waits: the task was there, or could not be taken. */
  refused(): void {
    this.#priority?.noteAnswered(false);
  }

  /** Something of the function waits, or will from `dueAt` on. */
  wake(functionName: string, dueAt: number): void {
    if (this.#isStopped) return;
    const lane = this.#laneOf(functionName);
    if (lane.isLeasing) lane.cameMeanwhile = Math.min(lane.cameMeanwhile ?? dueAt, dueAt);
    else lane.nextDueAt = Math.min(lane.nextDueAt ?? dueAt, dueAt);
    this.#advance(lane);
  }

  /** What kept the function from running may be over. */
  resume(functionName: string): void {
    const lane = this.#lanes.get(functionName);
    if (lane === undefined) return;
    lane.pausedUntil = 0;
    lane.deferredInRow = 0;
    this.#advance(lane);
  }

  /** Ends a task that was taken, if it is still here: it never starts, or its run is stopped. */
  stopTask(functionName: string, taskId: string): LeasedTask | undefined {
    const lane = this.#lanes.get(functionName);
    const at = lane?.taken.findIndex(({ task }) => task.taskId === taskId) ?? -1;
    const [taken] = at === -1 || lane === undefined ? [] : lane.taken.splice(at, 1);
    if (taken === undefined) lane?.runs.get(taskId)?.stop();
    return taken;
  }

  /** From now on nothing is taken and nothing started. */
  stop(): void {
    this.#isStopped = true;
    this.#turns.clear();
    for (const timer of [this.#adjusting, this.#heldBack]) {
      if (timer !== undefined) this.#deps.wheel.clear(timer);
    }
    for (const lane of this.#lanes.values()) this.#setTimer(lane, undefined);
  }

  /** Settles when all that ran has ended and is written. */
  async drained(): Promise<void> {
    if (!this.#hasUnwritten()) return;
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve;
    });
  }

  get running(): number {
    return this.#running;
  }

  #laneOf(functionName: string): Lane {
    let lane = this.#lanes.get(functionName);
    if (lane === undefined) {
      lane = {
        functionName,
        taken: [],
        runs: new Map(),
        limit: LANE_LIMIT_MIN,
        wasFull: false,
        running: 0,
        awaitingSlot: 0,
        unwritten: 0,
        isLeasing: false,
        ahead: 0,
        leasedMs: -Infinity,
        nextDueAt: undefined,
        cameMeanwhile: undefined,
        deferredInRow: 0,
        pausedUntil: 0,
        timer: undefined,
      };
      this.#lanes.set(functionName, lane);
      this.#adjustLater();
    }
    return lane;
  }

  /** Whatever has changed: starts what may start, takes what is due, sleeps until more is, or forgets the lane. */
  #advance(lane: Lane): void {
    if (this.#isStopped) return;
    if (this.#mayStart(lane)) this.#turns.add(lane);
    this.#takeTurns();
    const now = this.#deps.clock.now();
    if (lane.pausedUntil > now) {
      this.#setTimer(lane, lane.pausedUntil);
      return;
    }
    if (lane.nextDueAt === undefined) {
      this.#setTimer(lane, undefined);
      this.#forgetIfIdle(lane);
    } else if (lane.nextDueAt <= now) this.#lease(lane, now);
    else this.#setTimer(lane, lane.nextDueAt);
  }

  #mayStart(lane: Lane): boolean {
    if (lane.taken.length === 0 || lane.pausedUntil > this.#deps.clock.now()) return false;
    if (lane.running >= lane.limit) {
      lane.wasFull = true;
      return false;
    }
    return lane.awaitingSlot < this.#awaitingSlotMax(lane);
  }

  #awaitingSlotMax(lane: Lane): number {
    const slots = this.#deps.slotsPerInstance(lane.functionName);
    return Math.max(AWAITING_SLOT_MIN, slots, Math.ceil(lane.limit * AWAITING_SLOT_SHARE));
  }

  /** One start for each lane in turn, as long as anything may start. */
  #takeTurns(): void {
    // A run may end, or get its slot, while it is being started: the turns under way go on with what that changed.
    if (this.#isTakingTurns) return;
    this.#isTakingTurns = true;
    while (this.#running < (this.#deps.runningMax ?? RUNNING_MAX_DEFAULT)) {
      if (this.#isHeldBack()) break;
      const [lane] = this.#turns;
      if (lane === undefined) break;
      this.#turns.delete(lane);
      if (!this.#mayStart(lane)) continue;
      this.#start(lane);
      if (this.#mayStart(lane)) this.#turns.add(lane);
    }
    this.#isTakingTurns = false;
  }

  #isHeldBack(): boolean {
    if (this.#priority?.mayBegin(this.#deps.clock.monotonicMs()) ?? true) return false;
    this.#heldBack ??= this.#deps.wheel.set(WAVE_MS, () => {
      this.#heldBack = undefined;
      this.#takeTurns();
    });
    return true;
  }

  #start(lane: Lane): void {
    const taken = lane.taken.shift();
    if (taken === undefined) return;
    const { taskId } = taken.task;
    lane.running += 1;
    lane.awaitingSlot += 1;
    lane.unwritten += 1;
    this.#running += 1;
    this.#priority?.noteBegun();
    let isAwaitingSlot = true;
    const leaveSlotQueue = (): void => {
      if (!isAwaitingSlot) return;
      isAwaitingSlot = false;
      lane.awaitingSlot -= 1;
    };
    let hasEnded = false;
    const run = this.#deps.run(taken, {
      onStarted: () => {
        leaveSlotQueue();
        this.#advance(lane);
      },
      onEnded: (end) => {
        hasEnded = true;
        leaveSlotQueue();
        lane.runs.delete(taskId);
        lane.running -= 1;
        this.#running -= 1;
        this.#note(lane, end);
        this.#advance(lane);
      },
      onWritten: () => {
        lane.unwritten -= 1;
        this.#advance(lane);
        if (this.#isStopped && !this.#hasUnwritten()) this.#onDrained?.();
      },
    });
    if (!hasEnded) lane.runs.set(taskId, run);
  }

  #note(lane: Lane, end: RunEnd): void {
    if (end === 'ran') {
      lane.deferredInRow = 0;
      return;
    }
    const now = this.#deps.clock.now();
    // Those that were put off together count as one.
    if (lane.pausedUntil > now) return;
    lane.deferredInRow += 1;
    lane.pausedUntil = now + deferralMs(lane.deferredInRow);
    lane.limit = LANE_LIMIT_MIN;
  }

  #lease(lane: Lane, now: number): void {
    this.#setTimer(lane, undefined);
    const held = lane.taken.length + lane.unwritten;
    const ahead = Math.min(LEASE_MAX, Math.max(lane.limit * LEASED_AHEAD, lane.ahead));
    const limit = Math.min(ahead - lane.taken.length, HELD_PER_FUNCTION_MAX - held);
    // In small portions there would be as many leases as tasks.
    if (lane.isLeasing || limit <= 0 || lane.taken.length > ahead / 2) return;
    lane.isLeasing = true;
    const nowMs = this.#deps.clock.monotonicMs();
    lane.ahead = nowMs - lane.leasedMs < LEASE_AGAIN_MS ? Math.min(LEASE_MAX, ahead * 2) : 0;
    lane.leasedMs = nowMs;
    this.#deps.queue.lease(lane.functionName, limit, now).then(
      ({ tasks, nextDueAt }) => {
        lane.isLeasing = false;
        lane.taken.push(...tasks);
        lane.nextDueAt = earlier(nextDueAt, lane.cameMeanwhile);
        lane.cameMeanwhile = undefined;
        this.#advance(lane);
      },
      (thrown: unknown) => {
        lane.isLeasing = false;
        if (this.#isStopped) return;
        this.#deps.onStoreFailed(ThawError.from(thrown, 'taking asynchronous invocations from the queue'));
        lane.pausedUntil = this.#deps.clock.now() + STORE_RETRY_MS;
        this.#advance(lane);
      },
    );
  }

  #setTimer(lane: Lane, at: number | undefined): void {
    const { wheel, clock } = this.#deps;
    if (lane.timer !== undefined) wheel.clear(lane.timer);
    lane.timer = undefined;
    if (at === undefined) return;
    lane.timer = wheel.set(Math.min(SLEEP_MS_MAX, Math.max(1, at - clock.now())), () => {
      lane.timer = undefined;
      this.#advance(lane);
    });
  }

  #forgetIfIdle(lane: Lane): void {
    if (lane.isLeasing || lane.taken.length + lane.unwritten + lane.running > 0) return;
    this.#turns.delete(lane);
    this.#lanes.delete(lane.functionName);
  }

  #adjustLater(): void {
    if (this.#adjusting !== undefined || this.#isStopped || this.#lanes.size === 0) return;
    this.#deps.idleShare();
    this.#adjusting = this.#deps.wheel.set(ADJUST_MS, () => {
      this.#adjusting = undefined;
      const idleShare = this.#deps.idleShare();
      for (const lane of this.#lanes.values()) {
        lane.limit = nextLaneLimit({ limit: lane.limit, wasFull: lane.wasFull, idleShare });
        lane.wasFull = false;
        this.#advance(lane);
      }
      this.#adjustLater();
    });
  }

  #hasUnwritten(): boolean {
    for (const lane of this.#lanes.values()) if (lane.unwritten > 0) return true;
    return false;
  }
}

function earlier(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return Math.min(left, right);
}
