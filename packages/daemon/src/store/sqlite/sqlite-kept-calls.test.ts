import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import type { KeptInput, KeptLimits } from '../kept-calls.ts';
import { SqliteKeptCalls } from './sqlite-kept-calls.ts';
import { ThreadedKeptCalls } from './threaded-kept-calls.ts';

const WIDE: KeptLimits = {
  ageMsMax: 1000,
  perFunctionMax: 1000,
  perFunctionBytesMax: 1e9,
  totalBytesMax: 1e9,
};

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-calls-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function inputOf(requestId: string, functionName: string, keptAt: number, size = 3): KeptInput {
  const bytes = new Uint8Array(size).fill(7);
  return { requestId, functionName, qualifier: 'LATEST', trigger: 'http', keptAt, http: '{}', bytes };
}

function open(t: TestContext, now: () => number, inputs: KeptLimits): SqliteKeptCalls {
  const store = new SqliteKeptCalls(directoryOf(t), now, { inputs, answers: WIDE });
  t.after(() => store.close());
  return store;
}

function keep(store: SqliteKeptCalls, ...inputs: readonly KeptInput[]): void {
  store.write(inputs.map((input) => ({ kind: 'input', input })));
}

test('what was kept is found as it was, the last of an id, until it is too old', (t) => {
  let now = 5000;
  const store = open(t, () => now, WIDE);
  keep(store, inputOf('one', 'f', now, 1));
  keep(store, inputOf('one', 'f', now), inputOf('two', 'f', now));
  assert.deepEqual(store.input('one'), inputOf('one', 'f', now));
  assert.equal(store.input('three'), undefined);
  now += 1000;
  assert.equal(store.input('one'), undefined);
});

test('the oldest of a function go first, and those of others stay', (t) => {
  const store = open(t, () => 0, { ...WIDE, perFunctionMax: 2 });
  keep(store, inputOf('other', 'g', 0));
  for (const id of ['one', 'two', 'three', 'four']) keep(store, inputOf(id, 'f', 0));
  const found = ['other', 'one', 'two', 'three', 'four'].filter((id) => store.input(id) !== undefined);
  assert.deepEqual(found, ['other', 'three', 'four']);
});

test('bytes are bounded of each function and of all together', (t) => {
  const ofEach = open(t, () => 0, { ...WIDE, perFunctionBytesMax: 25_000 });
  for (const id of ['one', 'two', 'three']) keep(ofEach, inputOf(id, 'f', 0, 10_000));
  assert.deepEqual(
    ['one', 'two', 'three'].map((id) => ofEach.input(id) !== undefined),
    [false, true, true],
  );
  const ofAll = open(t, () => 0, { ...WIDE, totalBytesMax: 25_000 });
  for (const id of ['one', 'two', 'three']) keep(ofAll, inputOf(id, `of-${id}`, 0, 10_000));
  assert.deepEqual(
    ['one', 'two', 'three'].map((id) => ofAll.input(id) !== undefined),
    [false, true, true],
  );
});

test('the thread keeps what it is given, and forgets a function', async (t) => {
  const directory = directoryOf(t);
  const calls = new ThreadedKeptCalls(directory, systemClock);
  const now = Math.floor(systemClock.now());
  const answer = { scope: 's', functionName: 'f', fingerprint: 'p', keptAt: now, status: 201 } as const;
  const body = new Uint8Array([1, 2]);
  const kept = calls.keepInput(inputOf('one', 'f', now));
  // Not written yet, perhaps.
  assert.deepEqual(calls.input('one'), inputOf('one', 'f', now));
  await kept;
  await calls.keepAnswer({ ...answer, rawHeaders: ['a', 'b'], body });
  assert.deepEqual(calls.input('one'), inputOf('one', 'f', now));
  assert.deepEqual(calls.answer('s'), { ...answer, rawHeaders: ['a', 'b'], body });
  calls.forget('f');
  await calls.close();
  const store = new SqliteKeptCalls(directory, () => now);
  t.after(() => store.close());
  assert.deepEqual([store.input('one'), store.answer('s')], [undefined, undefined]);
});
