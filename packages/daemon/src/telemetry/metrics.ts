import { Counter, Gauge, Registry } from 'prom-client';
import { FunctionDurations } from './function-durations.ts';

export interface FinishedInvocation {
  readonly functionName: string;
  readonly outcome: 'success' | 'caller_error' | 'function_error' | 'platform_error';
  readonly isColdStart: boolean;
  readonly durationMs: number;
}

/** Gauges are read when somebody looks, from whoever knows. */
export interface MetricSources {
  /** Instances by function and state. */
  instances(): Iterable<{ readonly functionName: string; readonly state: string }>;
  /** Requests that wait for a slot, by function. */
  waiting(): Iterable<{ readonly functionName: string; readonly waiting: number }>;
  /** Provisioned instances by function and qualifier: how many are ready, and how many are to be. */
  provisioned(): Iterable<{
    readonly functionName: string;
    readonly qualifier: string;
    readonly current: number;
    readonly target: number;
  }>;
}

const DURATION_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** What the platform counts, in Prometheus's terms. One set for each daemon, so that tests run side by side. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #invocations: Counter<'function' | 'outcome'>;
  readonly #coldStarts: Counter<'function'>;
  readonly #duration: FunctionDurations;
  readonly #unrecorded: Counter;
  /** Not yet told to the library's counter, which hashes its labels at every step. */
  readonly #finished = new Map<string, Record<FinishedInvocation['outcome'], number>>();
  readonly #hooks: Counter<'function' | 'hook' | 'outcome'>;
  readonly #throttled: Counter<'function'>;
  readonly #evicted: Counter<'function'>;

  constructor(sources: MetricSources) {
    const registers = [this.#registry];
    const tellFinished = (): void => this.#tellFinished();
    this.#invocations = new Counter({
      name: 'thaw_invocations_total',
      help: 'Invocations that ended, by function and outcome.',
      labelNames: ['function', 'outcome'],
      registers,
      collect: tellFinished,
    });
    this.#unrecorded = new Counter({
      name: 'thaw_unrecorded_invocations_total',
      help: 'Invocations that the history had no room for: warm successes beyond thousands a second.',
      registers,
    });
    this.#coldStarts = new Counter({
      name: 'thaw_cold_starts_total',
      help: 'Invocations that waited for the start of their instance.',
      labelNames: ['function'],
      registers,
    });
    this.#duration = new FunctionDurations({
      name: 'thaw_invocation_duration_seconds',
      help: 'From accept to the last byte of the answer.',
      boundsS: DURATION_BUCKETS_S,
      registers,
    });
    this.#hooks = new Counter({
      name: 'thaw_hooks_total',
      help: 'Lifecycle hooks that ended, by function, hook and outcome.',
      labelNames: ['function', 'hook', 'outcome'],
      registers,
    });
    this.#throttled = new Counter({
      name: 'thaw_throttled_requests_total',
      help: 'Requests refused because a limit was reached.',
      labelNames: ['function'],
      registers,
    });
    this.#evicted = new Counter({
      name: 'thaw_evictions_total',
      help: 'Idle instances that were stopped because others needed the room.',
      labelNames: ['function'],
      registers,
    });
    const provisioned = new Gauge({
      name: 'thaw_provisioned_instances',
      help: 'Provisioned instances: "current" are ready, "target" are to be.',
      labelNames: ['function', 'qualifier', 'figure'],
      registers,
      collect(): void {
        provisioned.reset();
        for (const { functionName, qualifier, current, target } of sources.provisioned()) {
          provisioned.set({ function: functionName, qualifier, figure: 'current' }, current);
          provisioned.set({ function: functionName, qualifier, figure: 'target' }, target);
        }
      },
    });
    const instances = new Gauge({
      name: 'thaw_instances',
      help: 'Instances by function and state.',
      labelNames: ['function', 'state'],
      registers,
      collect(): void {
        instances.reset();
        for (const { functionName, state } of sources.instances())
          instances.inc({ function: functionName, state });
      },
    });
    const waiting = new Gauge({
      name: 'thaw_waiting_requests',
      help: 'Requests that wait for a slot, by function.',
      labelNames: ['function'],
      registers,
      collect(): void {
        waiting.reset();
        for (const each of sources.waiting()) waiting.set({ function: each.functionName }, each.waiting);
      },
    });
    const memory = new Gauge({
      name: 'thaw_process_resident_memory_bytes',
      help: 'Resident memory of the platform itself.',
      registers,
      collect(): void {
        memory.set(process.memoryUsage.rss());
      },
    });
  }

  onFinished({ functionName, outcome, isColdStart, durationMs }: FinishedInvocation): void {
    let outcomes = this.#finished.get(functionName);
    if (outcomes === undefined) {
      outcomes = { success: 0, caller_error: 0, function_error: 0, platform_error: 0 };
      this.#finished.set(functionName, outcomes);
    }
    outcomes[outcome] += 1;
    if (isColdStart) this.#coldStarts.inc({ function: functionName });
    this.#duration.add(functionName, durationMs);
  }

  onUnrecorded(): void {
    this.#unrecorded.inc();
  }

  onHook(functionName: string, hook: string, isFailed: boolean): void {
    this.#hooks.inc({ function: functionName, hook, outcome: isFailed ? 'failed' : 'success' });
  }

  onThrottled(functionName: string): void {
    this.#throttled.inc({ function: functionName });
  }

  onEvicted(functionName: string): void {
    this.#evicted.inc({ function: functionName });
  }

  #tellFinished(): void {
    for (const [functionName, outcomes] of this.#finished) {
      for (const [outcome, count] of Object.entries(outcomes)) {
        if (count > 0) this.#invocations.inc({ function: functionName, outcome }, count);
      }
    }
    this.#finished.clear();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  expose(): Promise<string> {
    return this.#registry.metrics();
  }
}
