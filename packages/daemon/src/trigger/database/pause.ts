import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after this time, or at once when the signal fires. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Resolves when the work is done or has failed, or after this time: for goodbyes that nobody may answer. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const done = new AbortController();
  const working = work.then(
    () => undefined,
    () => undefined,
  );
  await Promise.race([working, pause(ms, done.signal)]);
  done.abort();
}
