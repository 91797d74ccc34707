/** How often a condition is read that the kernel does not tell us about, at first. */
const POLL_MS_MIN = 1;
const POLL_MS_MAX = 20;
/** Of the time that has passed: what takes long is looked at less and less often, and is late by no more than this. */
const POLL_SHARE = 1 / 8;
/** So long it is read in every turn of the loop: stopping a sandbox takes some 0.3 ms, and a timer more than one. */
const EAGER_MS = 0.6;

/** Resolves with true as soon as the condition holds, or with false when it has not within the time. */
export async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const startMs = performance.now();
  while (!condition()) {
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs > timeoutMs) return false;
    await new Promise<void>((resolve) => {
      if (elapsedMs < EAGER_MS) setImmediate(resolve);
      else setTimeout(resolve, Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, elapsedMs * POLL_SHARE)));
    });
  }
  return true;
}
