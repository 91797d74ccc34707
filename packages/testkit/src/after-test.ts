import type { TestContext } from 'node:test';

const endings = new WeakMap<TestContext, (() => unknown)[]>();

/**
 * Does this when the test has ended, what was asked for last first: what is built on something goes before it. (The
 * runner's own `after` hooks run in the order in which they were given, and would remove a directory under a platform
 * that still writes to it.)
 */
export function afterTest(t: TestContext, end: () => unknown): void {
  const known = endings.get(t);
  if (known !== undefined) {
    known.push(end);
    return;
  }
  const ends = [end];
  endings.set(t, ends);
  t.after(async () => {
    const failures: unknown[] = [];
    for (let last = ends.pop(); last !== undefined; last = ends.pop()) {
      try {
        await last();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures);
  });
}
