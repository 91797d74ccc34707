/** How often a condition is read that the kernel does not tell us about. */
const POLL_MS = 1;
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
      else setTimeout(resolve, POLL_MS);
    });
  }
  return true;
}
