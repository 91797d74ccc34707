import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_TRAITS, type ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { DEFAULT_ASYNC_POLICY, nextStep, type NextStep, type TriedEvent } from './retry-policy.ts';

const fresh: TriedEvent = {
  tries: 0,
  deferrals: 0,
  ageMs: 0,
  policy: DEFAULT_ASYNC_POLICY,
  random: 0.999_999,
};

const step = (code: ErrorCode, event: Partial<TriedEvent> = {}): NextStep =>
  nextStep(new ThawError(code, 'x'), { ...fresh, ...event });

test('a failing function is tried again with growing pauses, until its tries are used up', () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((tries) => step('HANDLER_THREW', { tries })),
    [
      { kind: 'retry', delayMs: 1000 },
      { kind: 'retry', delayMs: 2000 },
      { kind: 'retry', delayMs: 4000 },
      { kind: 'settle', status: 'Failed' },
    ],
  );
  const policy = { ...DEFAULT_ASYNC_POLICY, retriesMax: 0 };
  assert.deepEqual(step('FUNCTION_TIMED_OUT', { policy }), { kind: 'settle', status: 'Failed' });
});

test('what is throttled is put off by 0.5, 1, 2, 4, 8 seconds and on, and costs no try', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 7, 500].map((deferrals) => step('THROTTLED', { deferrals, tries: 3 })),
    [500, 1000, 2000, 4000, 8000, 60_000, 60_000].map((delayMs) => ({ kind: 'defer', delayMs })),
  );
});

test('jitter takes up to half of a pause away', () => {
  assert.deepEqual(step('HANDLER_THREW', { random: 0 }), { kind: 'retry', delayMs: 500 });
  assert.deepEqual(step('LINK_BROKEN', { random: 0 }), { kind: 'defer', delayMs: 250 });
});

test('an event that would be too old when it runs again has expired', () => {
  const policy = { retriesMax: 8, ageMsMax: 10_000 };
  assert.deepEqual(step('HANDLER_THREW', { policy, ageMs: 9_000 }), { kind: 'retry', delayMs: 1000 });
  assert.deepEqual(step('HANDLER_THREW', { policy, ageMs: 9_001 }), { kind: 'settle', status: 'Expired' });
  assert.deepEqual(step('SANDBOX_FAILED', { policy, ageMs: 9_900 }), { kind: 'settle', status: 'Expired' });
});

test('every error has its step', () => {
  const kinds = Object.groupBy(
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of the table are the codes
    Object.keys(ERROR_TRAITS) as ErrorCode[],
    (code) => step(code).kind,
  );
  for (const code of kinds.retry ?? []) assert.equal(ERROR_TRAITS[code].fault, 'function', code);
  for (const code of kinds.settle ?? []) assert.equal(ERROR_TRAITS[code].fault, 'caller', code);
  assert.deepEqual(step('FUNCTION_NOT_FOUND'), { kind: 'settle', status: 'Invalid' });
  assert.deepEqual(step('FUNCTION_DISABLED'), { kind: 'defer', delayMs: 500 });
  assert.deepEqual(step('RUNTIME_UNAVAILABLE'), { kind: 'defer', delayMs: 500 });
  assert.deepEqual(step('SHUTTING_DOWN'), { kind: 'defer', delayMs: 0 });
});
