import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { killAfterAcknowledgements } from './crash-process.ts';
import type { RecordChange, Records } from './records.ts';

/** One store, fresh when made; opened again it holds what was written. */
export interface RecordsStore {
  open(): Promise<Records>;
  /** The program and arguments of a process that opens the store and runs `writeRecordsForever` from step `first`. */
  writer(first: number): readonly [string, ...string[]];
  [Symbol.asyncDispose](): Promise<void>;
}

const CRASHES = 4;
const ACKNOWLEDGEMENTS_MAX = 60;

/** The contract of `Records`; the numbers are those of its doc comment. */
export function testRecordsContract(name: string, makeStore: () => Promise<RecordsStore>): void {
  const withRecords = async (work: (records: Records, store: RecordsStore) => Promise<void> | void) => {
    await using store = await makeStore();
    const records = await store.open();
    try {
      await work(records, store);
    } finally {
      records.close();
    }
  };

  describe(`${name} keeps the contract of Records`, () => {
    it('1: what was acknowledged survives kill -9, batches whole', async () => {
      await using store = await makeStore();
      let first = 1;
      for (let crash = 0; crash < CRASHES; crash += 1) {
        const wanted = 1 + Math.floor(Math.random() * ACKNOWLEDGEMENTS_MAX);
        const lines = await killAfterAcknowledgements(store.writer(first), wanted);
        const [last = 0, revision = 0] = (lines.at(-1) ?? '').split(' ').map(Number);
        const records = await store.open();
        try {
          assertPairs(records, last);
          assert.ok(records.put('probe', crash) > revision, 'a revision was used again');
        } finally {
          records.close();
        }
        first = last + 1;
      }
    });

    it('1: what was written is there after a close', async () => {
      await withRecords(async (records, store) => {
        const revision = records.put('a', { deep: [1, null, 'x'] });
        records.put('b', 1);
        records.delete('b');
        records.close();
        const again = await store.open();
        try {
          assert.deepEqual(again.get('a'), { key: 'a', value: { deep: [1, null, 'x'] }, revision });
          assert.equal(again.get('b'), undefined);
        } finally {
          again.close();
        }
      });
    });

    it('2: a conditional write needs the expected revision and writes nothing on a mismatch', async () => {
      await withRecords((records) => {
        assertConflict(() => records.put('a', 1, 5));
        const first = records.put('a', 1, 0);
        assertConflict(() => records.put('a', 2, 0));
        assertConflict(() => records.put('a', 2, first + 1));
        const second = records.put('a', 2, first);
        assertConflict(() => records.delete('a', first));
        assert.deepEqual(records.get('a'), { key: 'a', value: 2, revision: second });
        records.delete('a', second);
        assertConflict(() => records.delete('a', second));
        records.delete('a', 0);
        records.delete('a');
        assert.equal(records.get('a'), undefined);
      });
    });

    it('3: revisions grow with every write and are never used again', async () => {
      await withRecords((records) => {
        const first = records.put('a', 1);
        records.delete('a');
        const second = records.put('a', 1);
        const third = records.put('b', 1);
        assert.ok(first < second && second < third);
        assert.notEqual(second, first + 1, 'the delete took a revision');
      });
    });

    it('4: list gives what starts with the prefix, ordered by code units', async () => {
      await withRecords((records) => {
        // U+FFFF comes behind U+10000 in code units and before it in code points.
        const keys = [
          'f',
          'f/',
          'f/a',
          'f/a/b',
          'f/b',
          'f/\u{10000}',
          'f/\uffff',
          'f0',
          'F/a',
          'g',
          'f/\u{10ffff}x',
        ];
        for (const key of keys) records.put(key, key);
        const under = (prefix: string) => records.list(prefix).map((record) => record.key);
        for (const prefix of ['f/', '', 'f/a', 'f/\u{10ffff}', 'nothing', 'f/\ud7ff']) {
          // The default order of an array of strings is that of their code units.
          assert.deepEqual(under(prefix), keys.filter((key) => key.startsWith(prefix)).toSorted());
        }
      });
    });

    it('5: a batch applies all of its writes or none', async () => {
      await withRecords((records) => {
        records.put('kept', 1);
        assertConflict(() =>
          records.batch([
            { kind: 'put', key: 'a', value: 1 },
            { kind: 'delete', key: 'kept' },
            { kind: 'put', key: 'b', value: 1, expectedRevision: 99 },
          ]),
        );
        assert.deepEqual(
          records.list('').map((record) => record.key),
          ['kept'],
        );
        records.batch([
          { kind: 'put', key: 'a', value: 1, expectedRevision: 0 },
          { kind: 'delete', key: 'kept' },
        ]);
        records.batch([]);
        assert.deepEqual(
          records.list('').map((record) => record.key),
          ['a'],
        );
      });
    });

    it('6: watchers hear of each later change once, in order, when it can be read, on a later turn', async () => {
      await withRecords(async (records) => {
        records.put('f/before', 0);
        const seen: RecordChange[] = [];
        const stop = records.watch('f/', (change) => {
          if (change.kind === 'put' && change.record.key === 'f/b')
            assert.deepEqual(records.get('f/b'), change.record);
          seen.push(change);
        });
        const one = records.put('f/a', 1);
        records.put('g/a', 1);
        records.delete('f/a');
        records.delete('f/a');
        assertConflict(() => records.put('f/a', 9, 7));
        records.batch([{ kind: 'put', key: 'f/b', value: 2 }]);
        assert.deepEqual(seen, [], 'never within the write');
        const b = records.get('f/b');
        assert.ok(b !== undefined);
        await until(() => seen.length >= 3);
        assert.deepEqual(seen, [
          { kind: 'put', record: { key: 'f/a', value: 1, revision: one } },
          { kind: 'delete', key: 'f/a' },
          { kind: 'put', record: b },
        ]);

        stop();
        let last = 0;
        records.watch('', () => (last += 1));
        records.put('f/c', 1);
        await until(() => last === 1);
        assert.equal(seen.length, 3, 'an ended watch hears nothing');
      });
    });

    it('7: any JSON value is read as it was written', async () => {
      await withRecords((records) => {
        fc.assert(
          fc.property(fc.jsonValue(), (value) => {
            const written = JSON.parse(JSON.stringify(value));
            records.put('v', value);
            assert.deepEqual(records.get('v')?.value, written);
          }),
          { numRuns: 50 },
        );
      });
    });
  });
}

/** Steps up to `last` were acknowledged; one more may have been under way. */
function assertPairs(records: Records, last: number): void {
  const deleted = Math.floor(last / 3);
  const numbers = (prefix: string) =>
    new Set(records.list(prefix).map((record) => Number(record.key.slice(prefix.length))));
  const left = numbers('left/');
  assert.deepEqual(left, numbers('right/'), 'half of a batch');
  for (let n = 1; n <= last; n += 1) {
    if (n <= deleted) assert.ok(!left.has(n), `the deleted pair ${n} is back`);
    else if (n !== (last + 1) / 3) assert.ok(left.has(n), `the acknowledged pair ${n} of ${last} is lost`);
  }
}

function assertConflict(work: () => unknown): void {
  assert.throws(work, (error) => error instanceof ThawError && error.code === 'CONFLICT');
}

const WAIT_MS = 10_000;

/** Turns the event loop until the condition holds, within a bound. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!condition()) {
    assert.ok(performance.now() < deadline, 'the changes were not told in time');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
