import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atTurnEnd } from './turn-end.ts';

test('all who wait are told once, in their order, those who come meanwhile a turn later', async () => {
  const told: string[] = [];
  const done = new Promise<void>((resolve) => {
    const late = {
      onTurnEnd: () => {
        told.push('late');
        resolve();
      },
    };
    for (const name of ['first', 'second']) {
      atTurnEnd({
        onTurnEnd: () => {
          told.push(name);
          if (name === 'first') atTurnEnd(late);
        },
      });
    }
  });
  process.nextTick(() => told.push('tick'));
  await done;
  assert.deepEqual(told, ['tick', 'first', 'second', 'late']);
});
