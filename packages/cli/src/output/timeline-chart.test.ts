import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseServerTiming } from '../api/server-timing.ts';
import { drawTimeline, summarizeTimeline } from './timeline-chart.ts';

const COLD =
  'queued;dur=80, placed;dur=0.5, sandbox;dur=10, boot;dur=40, load;dur=20, handler;dur=19.5, firstByte;dur=95, lastByte;dur=100';

test('reads the header, leaving out what is no phase', () => {
  assert.deepEqual(parseServerTiming('cache;desc="x";dur=3, handler;desc="h";dur=12.5, queued'), {
    handler: 12.5,
  });
  assert.deepEqual(parseServerTiming(undefined), {});
  assert.deepEqual(parseServerTiming(['queued;dur=1', 'handler;dur=2']), { queued: 1, handler: 2 });
});

test('draws each phase where it was', () => {
  assert.deepEqual(
    drawTimeline(parseServerTiming(COLD), 20).map((line) => line.trimEnd()),
    [
      'queued      ████████████████         80.0 ms',
      '  sandbox     ██                     10.0 ms',
      '  boot          ████████             40.0 ms',
      '  load                  ████         20.0 ms',
      'placed                      █        0.50 ms',
      'handler                     ████     19.5 ms',
      'first byte                     │     95.0 ms',
      'last byte                      │      100 ms',
    ].map((line) => line.trimEnd()),
  );
  assert.deepEqual(drawTimeline({}, 20), []);
});

test('says in a line how it started and where the time went', () => {
  assert.equal(
    summarizeTimeline(parseServerTiming(COLD)),
    'cold start · 100 ms (queued 80.0 ms, handler 19.5 ms)',
  );
  assert.equal(summarizeTimeline({ handler: 1, lastByte: 2 }), 'warm · 2.00 ms (handler 1.00 ms)');
  assert.equal(summarizeTimeline({ thaw: 3 }), 'thawed (thaw 3.00 ms)');
});
