import assert from 'node:assert/strict';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ManualClock } from '../base/clock.ts';
import { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { SchedulerLimits } from './scheduler-limits.ts';
import { Scheduler, type KeepAlive } from './scheduler.ts';
import { SimulatedInstance } from './simulated-instance.ts';
import type { Waiter } from './waiter.ts';

/** One request of a simulation: where it came to and how it ended. */
export class SimulatedRequest implements Waiter<SimulatedInstance> {
  readonly sessionId: string | undefined;
  instance: SimulatedInstance | undefined;
  error: ThawError | undefined;

  constructor(sessionId?: string) {
    this.sessionId = sessionId;
  }

  get isRunning(): boolean {
    return this.instance !== undefined;
  }

  onSlot(instance: SimulatedInstance): void {
    assert.equal(this.instance ?? this.error, undefined, 'a request is answered once');
    this.instance = instance;
    instance.serve();
  }

  onRefused(error: ThawError): void {
    assert.equal(this.instance ?? this.error, undefined, 'a request is answered once');
    this.error = error;
  }
}

export const SIMULATED_LIMITS: SchedulerLimits = {
  instancesMax: 1000,
  instancesPerFunctionMax: 100,
  memoryMbMax: 1_000_000,
  waitersPerFunctionMax: 1000,
  waitMsMax: 60_000,
  idleMsMax: 300_000,
};

/** A scheduler on simulated instances and a clock that moves only when told to. */
export class Simulation {
  readonly clock = new ManualClock();
  readonly wheel = new DeadlineWheel(this.clock);
  readonly limits: SchedulerLimits;
  readonly scheduler: Scheduler<SimulatedInstance>;
  readonly created: SimulatedInstance[] = [];
  throttled = 0;
  evicted: string[] = [];

  constructor(limits: Partial<SchedulerLimits> = {}, keepAlive: KeepAlive = 'fixed') {
    this.limits = { ...SIMULATED_LIMITS, ...limits };
    this.scheduler = new Scheduler<SimulatedInstance>({
      clock: this.clock,
      wheel: this.wheel,
      limits: this.limits,
      keepAlive,
      createInstance: (runnable, events) => {
        const instance = new SimulatedInstance(this.clock, events, runnable);
        this.created.push(instance);
        return instance;
      },
      onThrottled: () => {
        this.throttled += 1;
      },
      onEvicted: (functionName) => this.evicted.push(functionName),
    });
  }

  [Symbol.dispose](): void {
    this.wheel.close();
  }

  request(runnable: RunnableVersion, sessionId?: string): SimulatedRequest {
    const request = new SimulatedRequest(sessionId);
    this.scheduler.acquire(runnable, request);
    return request;
  }

  /** Lets time pass, with everything that comes due on the way. */
  advance(ms: number): void {
    const STEP_MS = 1_000;
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.clock.advance(Math.min(STEP_MS, left));
      this.wheel.tick();
    }
  }

  /** Everything that starts becomes ready and everything that ends is gone, until nothing does any more. */
  settle(): void {
    for (;;) {
      const moving = this.live().filter(({ state, isEnding }) => state.name === 'starting' || isEnding);
      if (moving.length === 0) return;
      for (const instance of moving) {
        if (instance.isEnding) instance.exit();
        else if (instance.state.name === 'starting') instance.becomeReady();
      }
    }
  }

  live(functionName?: string): SimulatedInstance[] {
    return [...this.scheduler.instances()].filter(
      ({ runnable }) => functionName === undefined || runnable.functionName === functionName,
    );
  }

  states(functionName?: string): string[] {
    return this.live(functionName).map(({ state }) => state.name);
  }

  waiting(functionName: string): number {
    for (const each of this.scheduler.waiting()) if (each.functionName === functionName) return each.waiting;
    return 0;
  }
}

export function simulatedFunction(
  functionName: string,
  change: Partial<RunnableVersion> = {},
): RunnableVersion {
  return {
    key: `${functionName}@1`,
    functionName,
    versionId: 'LATEST',
    family: 'nodejs',
    runtime: 'nodejs20',
    handler: 'index.handler',
    handlerType: 'auto',
    container: undefined,
    server: undefined,
    hot: undefined,
    initializer: undefined,
    hooks: { preFreeze: undefined, preStop: undefined, postThaw: undefined },
    freezeAfterMs: undefined,
    instancesMax: undefined,
    idleMsMax: undefined,
    sessionAffinity: undefined,
    timeoutMs: 3000,
    memoryMb: 128,
    cpu: undefined,
    diskMb: 512,
    instanceConcurrency: 1,
    environment: {},
    internetAccess: true,
    codeDirectory: '/code',
    layerDirectory: undefined,
    recordsInputs: false,
    codeChecksum: '0',
    logProject: '',
    logStore: '',
    ...change,
  };
}
