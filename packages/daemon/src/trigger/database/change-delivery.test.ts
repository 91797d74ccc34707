import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { ChangeDelivery, type DeliveryOptions } from './change-delivery.ts';
import { RecordingTarget } from './recording-target.ts';
import { changesEvent, queuedChange, type QueuedChange, type RowChange } from './row-change.ts';

interface Trial {
  readonly target: RecordingTarget;
  readonly delivery: ChangeDelivery<number>;
  readonly reached: { readonly position: number; readonly changes: number }[];
  readonly problems: (ThawError | undefined)[];
}

function openTrial(t: TestContext, options: Partial<DeliveryOptions<number>> = {}): Trial {
  const target = new RecordingTarget();
  const reached: Trial['reached'] = [];
  const problems: Trial['problems'] = [];
  const delivery = new ChangeDelivery<number>({
    batchSize: 3,
    batchWindowMs: 0,
    maxRetries: 0,
    parallelism: 1,
    target,
    eventOf: (changes) => changesEvent({ type: 'sqlite', database: '/f' }, 'trigger', changes),
    taskIdOf: ({ id }) => `task-${id}`,
    onReached: (position, changes) => reached.push({ position, changes }),
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  afterTest(t, () => delivery.close());
  return { target, delivery, reached, problems };
}

function changeAt(position: number, key = position): RowChange {
  return {
    id: String(position),
    schema: 's',
    table: 't',
    operation: 'insert',
    key: { key },
    before: null,
    after: {},
    committedAt: '',
    transactionId: null,
    position: String(position),
  };
}

function queued(position: number, key?: number, isKeyChange = false): QueuedChange<number> {
  return queuedChange(changeAt(position, key), { isKeyChange, position });
}

const numbersOf = (changes: readonly RowChange[]): number[] => changes.map(({ id }) => Number(id));
const failed = (): ThawError => new ThawError('HANDLER_THREW', 'it threw');

test('batches fill within their window and keep the order; positions follow the batches', async (t) => {
  const { target, delivery, reached } = openTrial(t, { batchWindowMs: 60_000 });
  for (const position of [1, 2, 3]) await delivery.push(queued(position));
  await waitFor('a full batch', () => target.events.length === 1);
  await waitFor('its position', () => reached.length === 1);
  assert.deepEqual(numbersOf(target.changes), [1, 2, 3]);
  assert.deepEqual(reached, [{ position: 3, changes: 3 }]);
});

test('a batch that is not full goes when its window is over', async (t) => {
  const { target, delivery } = openTrial(t, { batchWindowMs: 1 });
  await delivery.push(queued(1));
  await waitFor('the batch', () => target.events.length === 1);
});

test('a mark is reached when everything before it is taken, and at once where there is nothing', async (t) => {
  const { target, delivery, reached } = openTrial(t);
  delivery.mark(5);
  await waitFor('the mark', () => reached.length === 1);
  const gate = Promise.withResolvers<undefined>();
  target.answer = () => gate.promise;
  await delivery.push(queued(6));
  await waitFor('the batch to run', () => target.running === 1);
  delivery.mark(7);
  assert.deepEqual(reached, [{ position: 5, changes: 0 }]);
  gate.resolve(undefined);
  await waitFor('both', () => reached.length === 2);
  assert.deepEqual(reached[1], { position: 7, changes: 1 });
});

test('whoever brings more than a round is held up until the function has taken one', async (t) => {
  const { target, delivery } = openTrial(t);
  const gate = Promise.withResolvers<undefined>();
  target.answer = () => gate.promise;
  let pushed = 0;
  const pushing = (async () => {
    for (let position = 1; position <= 20; position += 1) {
      await delivery.push(queued(position));
      pushed += 1;
    }
  })();
  await waitFor('a batch to run', () => target.running === 1);
  await new Promise(setImmediate);
  assert.ok(pushed <= 6, `${pushed} changes were taken in`);
  gate.resolve(undefined);
  await pushing;
  await waitFor('all changes', () => target.changes.length === 20);
  assert.deepEqual(
    numbersOf(target.changes),
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
});

test('a change that the function cannot take is found and set aside, and the others go on in order', async (t) => {
  const { target, delivery, reached, problems } = openTrial(t, { batchSize: 8, maxRetries: 0 });
  target.answer = (changes) => (numbersOf(changes).includes(5) ? failed() : undefined);
  for (let position = 1; position <= 8; position += 1) await delivery.push(queued(position));
  await waitFor('everything to be reached', () => reached.at(-1)?.position === 8);
  assert.deepEqual(numbersOf(target.changes), [1, 2, 3, 4, 6, 7, 8]);
  assert.deepEqual(
    target.submitted.map(({ event, taskId }) => [numbersOf(event), taskId]),
    [[[5], 'task-5']],
  );
  assert.equal(problems.at(-1), undefined);
});

test('with retries without end nothing is set aside and nothing overtakes', async (t) => {
  const { target, delivery, problems } = openTrial(t, { maxRetries: -1 });
  let failures = 3;
  target.answer = () => {
    failures -= 1;
    return failures < 0 ? undefined : failed();
  };
  await delivery.push(queued(1));
  await waitFor('the change', () => target.changes.length === 1);
  assert.deepEqual(target.submitted, []);
  assert.deepEqual(
    problems.map((problem) => problem?.code),
    ['HANDLER_THREW', 'HANDLER_THREW', 'HANDLER_THREW', undefined],
  );
});

test('what is not the function’s fault is tried again and never set aside', async (t) => {
  const { target, delivery } = openTrial(t, { maxRetries: 0 });
  let failures = 3;
  target.answer = () => {
    failures -= 1;
    return failures < 0 ? undefined : new ThawError('THROTTLED', 'no slot');
  };
  await delivery.push(queued(1));
  await waitFor('the change', () => target.changes.length === 1);
  assert.deepEqual(target.submitted, []);
});

test('batches run at once, each key in one of them', async (t) => {
  const { target, delivery, reached } = openTrial(t, { parallelism: 4, batchSize: 5 });
  const seen = new Map<number, number[]>();
  target.answer = async (changes) => {
    await new Promise(setImmediate);
    for (const { id, key } of changes) {
      const of = seen.get(Number(key?.['key'])) ?? [];
      of.push(Number(id));
      seen.set(Number(key?.['key']), of);
    }
  };
  for (let position = 1; position <= 200; position += 1) {
    await delivery.push(queued(position, position % 7, position % 50 === 0));
  }
  await waitFor('everything to be reached', () => reached.at(-1)?.position === 200);
  assert.ok(target.runningMax > 1 && target.runningMax <= 4);
  for (const numbers of seen.values())
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  assert.equal(target.changes.length, 200);
  assert.deepEqual(
    reached.map(({ position }) => position),
    reached.map(({ position }) => position).toSorted((a, b) => a - b),
  );
});

test('a position that could not be kept is kept later, and nothing goes on before', async (t) => {
  let failures = 2;
  const kept: number[] = [];
  const { target, delivery, problems } = openTrial(t, {
    onReached: (position) => {
      failures -= 1;
      if (failures >= 0) throw new ThawError('STORE_FAILED', 'the disk is full');
      kept.push(position);
    },
  });
  await delivery.push(queued(1));
  await waitFor('the position', () => kept.length === 1 && problems.at(-1) === undefined);
  assert.equal(target.events.length, 1);
  assert.deepEqual(
    problems.map((problem) => problem?.code),
    [undefined, 'STORE_FAILED', 'STORE_FAILED', undefined],
  );
});

test('closed, it ends what runs and reaches nothing that was not taken', async (t) => {
  const { target, delivery, reached } = openTrial(t);
  target.answer = (_changes, signal) =>
    new Promise((resolve) => {
      signal?.addEventListener('abort', () => resolve(new ThawError('SHUTTING_DOWN', 'stopped')));
    });
  await delivery.push(queued(1));
  await waitFor('the batch to run', () => target.running === 1);
  await delivery.close();
  await delivery.push(queued(2));
  delivery.mark(3);
  assert.deepEqual([target.running, target.events.length, reached.length], [0, 0, 0]);
});

test('a row too large for any event is told without its values', () => {
  const large = { ...changeAt(1), after: { text: 'x'.repeat(1000) } };
  const told: unknown = JSON.parse(queuedChange(large, { isKeyChange: false, position: 1 }, 500).text);
  assert.deepEqual(told, { ...large, before: null, after: null, isTruncated: true });
});
