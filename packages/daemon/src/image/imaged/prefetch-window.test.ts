import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PrefetchWindow } from './prefetch-window.ts';

/** A link that carries one span in `spanMs`, `roundTripMs` away: what is under way beyond that waits. */
function sizeAfter(spans: number, { spanMs, roundTripMs }: { spanMs: number; roundTripMs: number }): number {
  const window = new PrefetchWindow();
  const arrivals: { readonly sentMs: number; readonly atMs: number }[] = [];
  let nowMs = 0;
  let lineFreeMs = 0;
  for (let done = 0; done < spans; done += 1) {
    while (arrivals.length < window.size) {
      lineFreeMs = Math.max(lineFreeMs, nowMs + roundTripMs) + spanMs;
      arrivals.push({ sentMs: nowMs, atMs: lineFreeMs });
    }
    const first = arrivals.shift() ?? assert.fail();
    nowMs = first.atMs;
    window.arrived(first.atMs - first.sentMs);
  }
  return window.size;
}

test('as many spans are under way as the way to the registry takes', () => {
  // A quarter of a mebibyte at 1 Gbit/s, 5 ms away: more than a few would only wait.
  const near = sizeAfter(500, { spanMs: 2, roundTripMs: 5 });
  assert.ok(near >= 6 && near <= 14, String(near));
  // The same link to another continent is empty with those.
  assert.equal(sizeAfter(500, { spanMs: 2, roundTripMs: 150 }), 24);
  // A slow one is full with few.
  const slow = sizeAfter(500, { spanMs: 50, roundTripMs: 5 });
  assert.ok(slow >= 6 && slow <= 7, String(slow));
});
