import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Fifo } from './fifo.ts';

test('behaves as a bounded list', () => {
  const command = fc.oneof(
    fc.record({ kind: fc.constant('push' as const), value: fc.nat(1000) }),
    fc.record({ kind: fc.constant('shift' as const), value: fc.constant(0) }),
    fc.record({ kind: fc.constant('remove' as const), value: fc.nat(20) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 3000 }), (commands) => {
      const fifo = new Fifo<{ value: number }>(16);
      const model: { value: number }[] = [];
      for (const { kind, value } of commands) {
        if (kind === 'push') {
          const item = { value };
          assert.equal(fifo.push(item), model.length < 16);
          if (model.length < 16) model.push(item);
        } else if (kind === 'shift') {
          assert.equal(fifo.shift(), model.shift());
        } else {
          const item = model[value];
          if (item !== undefined) {
            assert.equal(fifo.remove(item), true);
            model.splice(value, 1);
          }
        }
        assert.equal(fifo.size, model.length);
      }
    }),
  );
});
