import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWorthLoading, LOADED_IDLE_MS_MAX } from './load-policy.ts';

const NOW = 100 * LOADED_IDLE_MS_MAX;
const LATELY = NOW - 1000;
const LONG_AGO = NOW - LOADED_IDLE_MS_MAX;

test('code is loaded for the first start after a deployment, and not for the second', () => {
  assert.ok(isWorthLoading({ nowMs: NOW, deployedMs: LATELY, startsMs: [] }));
  assert.ok(!isWorthLoading({ nowMs: NOW, deployedMs: LATELY, startsMs: [LATELY] }));
});

test('and for versions that are started again and again', () => {
  assert.ok(isWorthLoading({ nowMs: NOW, deployedMs: LATELY, startsMs: [LATELY, LATELY] }));
  assert.ok(isWorthLoading({ nowMs: NOW, deployedMs: undefined, startsMs: [LATELY, LATELY] }));
  assert.ok(!isWorthLoading({ nowMs: NOW, deployedMs: undefined, startsMs: [LONG_AGO, LATELY] }));
});

test('nothing is loaded for what nobody has used for long', () => {
  assert.ok(!isWorthLoading({ nowMs: NOW, deployedMs: undefined, startsMs: [] }));
  assert.ok(!isWorthLoading({ nowMs: NOW, deployedMs: LONG_AGO, startsMs: [] }));
  assert.ok(!isWorthLoading({ nowMs: NOW, deployedMs: LONG_AGO, startsMs: [LONG_AGO, LONG_AGO] }));
});
