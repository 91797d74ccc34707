import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { FrozenWatch } from './frozen-watch.ts';

function watched(t: TestContext, eventsFile: string | undefined) {
  const state = { isDead: false, looks: 0, kills: 0, notes: [] as string[] };
  const watch = new FrozenWatch({
    eventsFile,
    isDead: () => {
      state.looks += 1;
      return state.isDead;
    },
    onDead: () => (state.kills += 1),
    note: (text) => state.notes.push(text),
  });
  t.after(() => watch.stop());
  return { state, watch };
}

test('what the kernel tells is looked at, also when the end comes after the word of it', async (t) => {
  const file = join(await temporaryDirectory(t), 'cgroup.events');
  writeFileSync(file, 'frozen 1\n');
  const { state, watch } = watched(t, file);
  watch.start();
  await waitFor('the first look', () => state.looks === 1);
  writeFileSync(file, 'frozen 0\n');
  await waitFor('looks after an event', () => state.looks >= 3);
  assert.equal(state.kills, 0);
  state.isDead = true;
  await waitFor('the kill', () => state.kills > 0);
  watch.stop();
  const { looks } = state;
  writeFileSync(file, 'frozen 1\n');
  watch.start();
  watch.stop();
  assert.deepEqual([state.looks, state.notes], [looks, []]);
});

test('where the kernel tells nothing it is looked again and again', async (t) => {
  const { state, watch } = watched(t, undefined);
  watch.start();
  await waitFor('looks', () => state.looks >= 2);
  state.isDead = true;
  await waitFor('the kill', () => state.kills > 0);
  assert.deepEqual(state.notes, []);
});

test('what cannot be watched is looked at, and that is said once', async (t) => {
  const missing = join(await temporaryDirectory(t), 'missing');
  const first = watched(t, missing);
  const second = watched(t, missing);
  first.watch.start();
  await waitFor('looks', () => first.state.looks >= 2);
  second.watch.start();
  await waitFor('looks of the second', () => second.state.looks >= 2);
  assert.equal(first.state.notes.length, 1);
  assert.match(String(first.state.notes[0]), /looked at each second: .*ENOENT/);
  assert.deepEqual(second.state.notes, []);
});
