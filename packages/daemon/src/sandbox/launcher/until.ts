/** How often a condition is read that the kernel does not tell us about. */
const POLL_MS = 1;

/** Resolves with true as soon as the condition holds, or with false when it has not within the time. */
export async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) return false;
    await new Promise<void>((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
  return true;
}
