import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PerformanceObserver, constants } from 'node:perf_hooks';
import { collectBufferGarbage, usedBuffer } from './buffer-garbage.ts';

test('buffers that nobody has any more go without a look at the whole heap', async (t) => {
  assert.equal(collectBufferGarbage(true), true);
  t.after(() => collectBufferGarbage(false));
  const { promise: isCollected, resolve } = Promise.withResolvers<void>();
  const observer = new PerformanceObserver((list) => {
    const kinds = list.getEntries().map(kindOf);
    if (kinds.includes(constants.NODE_PERFORMANCE_GC_MINOR)) resolve();
  });
  observer.observe({ entryTypes: ['gc'] });
  t.after(() => observer.disconnect());
  for (let read = 0; read < 1024; read += 1) usedBuffer(Buffer.allocUnsafeSlow(64 * 1024).length);
  await isCollected;
});

test('the engine does as it likes where it is not asked', () => {
  assert.equal(collectBufferGarbage(false), true);
  assert.equal('gc' in globalThis, false);
  usedBuffer(1024 * 1024 * 1024);
});

/** The types of this version leave the detail out. */
function kindOf(entry: object): unknown {
  const detail: unknown = 'detail' in entry ? entry.detail : undefined;
  return typeof detail === 'object' && detail !== null && 'kind' in detail ? detail.kind : undefined;
}
