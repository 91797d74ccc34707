import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { MapInput } from './map-inputs.ts';
import type { MapPlan } from './map-plan.ts';
import type { MapTasks, TaskAnswer } from './map-tasks.ts';

const POLL_MS_MIN = 20;
const POLL_MS_MAX = 500;
const POLL_GROWTH = 1.5;
/** A platform that starts again is given so long, in tries of a second. */
const UNREACHABLE_TRIES_MAX = 60;
const UNREACHABLE_PAUSE_MS = 1_000;

export interface MapCounts {
  readonly total: number;
  /** Were there from an earlier run. */
  resumed: number;
  succeeded: number;
  failed: number;
  running: number;
  /** Tries of the platform behind the tasks that have ended. */
  retries: number;
  /** Milliseconds that the functions worked, all together. */
  workedMs: number;
}

export interface MapFailure {
  readonly input: string;
  readonly status: string;
  readonly message: string;
}

export interface MapOptions {
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly onProgress: (counts: Readonly<MapCounts>) => void;
}

/**
 * Keeps `concurrency` tasks on their way until every input has its result in the plan's directory or has failed. One that
 * fails keeps no other from running.
 */
export async function runMap(
  plan: MapPlan,
  inputs: readonly MapInput[],
  tasks: MapTasks,
  { concurrency, signal, onProgress }: MapOptions,
): Promise<{ readonly counts: MapCounts; readonly failures: readonly MapFailure[] }> {
  const counts: MapCounts = {
    total: inputs.length,
    resumed: 0,
    succeeded: 0,
    failed: 0,
    running: 0,
    retries: 0,
    workedMs: 0,
  };
  const failures: MapFailure[] = [];
  const ahead = inputs.entries();
  const work = async (): Promise<void> => {
    for (const [index, input] of ahead) {
      signal.throwIfAborted();
      const file = plan.resultFile(input);
      if (existsSync(file)) {
        counts.resumed += 1;
        continue;
      }
      counts.running += 1;
      onProgress(counts);
      const task = await runTask(tasks, plan.taskId(index, input), input, file, signal);
      counts.running -= 1;
      counts.retries += task.alreadyRetriedTimes ?? 0;
      counts.workedMs += task.durationMs ?? 0;
      if (task.status === 'Succeeded') {
        counts.succeeded += 1;
      } else {
        counts.failed += 1;
        failures.push({ input: input.name, status: task.status, message: task.taskErrorMessage ?? '' });
        await plan.countFailure(input);
      }
      onProgress(counts);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, inputs.length) }, work));
  return { counts, failures };
}

/** The platform may go and come back meanwhile: what it accepted, it still has. */
async function runTask(
  tasks: MapTasks,
  taskId: string,
  input: MapInput,
  file: string,
  signal: AbortSignal,
): Promise<TaskAnswer> {
  const body = await input.read();
  await whenReachable(signal, () => tasks.submit(taskId, body));
  for (let pauseMs = POLL_MS_MIN; ; pauseMs = Math.min(pauseMs * POLL_GROWTH, POLL_MS_MAX)) {
    const task = await whenReachable(signal, () => tasks.outcome(taskId));
    if (task !== undefined) {
      if (task.status === 'Succeeded') await whenReachable(signal, () => tasks.fetchResult(taskId, file));
      return task;
    }
    await delay(pauseMs, undefined, { signal });
  }
}

async function whenReachable<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      const isGone = error instanceof ThawError && mayPass(error);
      if (!isGone || tries >= UNREACHABLE_TRIES_MAX) throw error;
      await delay(UNREACHABLE_PAUSE_MS, undefined, { signal });
    }
  }
}

function mayPass({ code, isRetryable }: ThawError): boolean {
  return code === 'PLATFORM_UNREACHABLE' || isRetryable;
}
