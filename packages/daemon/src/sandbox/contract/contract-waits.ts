import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

const WAIT_MS_MAX = 20_000;

export async function waitFor(what: string, condition: () => boolean): Promise<void> {
  const endMs = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (performance.now() > endMs) assert.fail(`waited in vain for ${what}`);
    await delay(2);
  }
}

/** Waits until a value has stayed the same for a while. */
export async function settled(value: () => number): Promise<void> {
  let last = value();
  let sameSinceMs = performance.now();
  await waitFor('a value to settle', () => {
    if (value() !== last) {
      last = value();
      sameSinceMs = performance.now();
    }
    return performance.now() - sameSinceMs > 30;
  });
}
