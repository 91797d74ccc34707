import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { TaskStatus } from '@thaw/protocol/fc/async-task.ts';
import type { AsyncTask, TaskEvent } from '../model/async-task.ts';
import { killAfterAcknowledgements } from './crash-process.ts';
import type {
  Leased,
  LeasedTask,
  NewTask,
  Queue,
  Release,
  Settlement,
  TaskQuery,
  TrimBounds,
} from './queue.ts';

export interface QueueOpening {
  readonly waitingMax?: number;
}

/** One store, fresh when made; opened again it holds what was put. */
export interface QueueStore {
  open(options?: QueueOpening): Promise<Queue>;
  /** The program and arguments of a process that opens the store and runs `writeQueueForever`. */
  writer(first: number): readonly [string, ...string[]];
  [Symbol.asyncDispose](): Promise<void>;
}

const CRASHES = 3;
const ACKNOWLEDGEMENTS_MAX = 200;
const KEEP_ALL: TrimBounds = {
  settledBefore: 0,
  deadLettersBefore: 0,
  settledMax: 1000,
  settledBytesMax: 1_000_000,
};

const newTask = (taskId: string, fields: Partial<NewTask> = {}): NewTask => ({
  functionName: 'f',
  taskId,
  qualifier: 'LATEST',
  requestId: `request-${taskId}`,
  trigger: 'api',
  payload: { bytes: Buffer.from(taskId) },
  enqueuedAt: 10,
  dueAt: 10,
  ...fields,
});

const event = (status: TaskStatus, at = 20): TaskEvent => ({ status, at, detail: '' });

const settlement = (fields: Partial<Settlement> = {}): Settlement => ({
  status: 'Succeeded',
  tries: 0,
  endedAt: 30,
  instanceId: 'c-1',
  versionId: '1',
  events: [],
  isToHandOn: false,
  ...fields,
});

const putBack = (fields: Partial<Release> = {}): Release => ({
  status: 'Retrying',
  dueAt: 50,
  tries: 1,
  deferrals: 0,
  events: [],
  ...fields,
});

const idsOf = ({ tasks }: Leased): string[] => tasks.map(({ task }) => task.taskId);

async function leaseOne(queue: Queue, nowMs = 100): Promise<LeasedTask> {
  const [leased] = (await queue.lease('f', 1, nowMs)).tasks;
  assert.ok(leased !== undefined, 'a task is due');
  return leased;
}

async function require(queue: Queue, taskId: string, functionName = 'f'): Promise<AsyncTask> {
  const task = await queue.get(functionName, taskId);
  assert.ok(task !== undefined, `task ${taskId} is kept`);
  return task;
}

const isRefused = (code: string) => (error: unknown) => error instanceof ThawError && error.code === code;

/** The contract of `Queue`; the numbers are those of its doc comment. */
export function testQueueContract(name: string, makeStore: () => Promise<QueueStore>): void {
  describe(`${name} keeps the contract of Queue`, () => {
    it('1: what was acknowledged survives kill -9', async () => {
      await using store = await makeStore();
      const acknowledged = new Set<string>();
      for (let crash = 0; crash < CRASHES; crash += 1) {
        const wanted = 1 + Math.floor(Math.random() * ACKNOWLEDGEMENTS_MAX);
        const lines = await killAfterAcknowledgements(store.writer(1 + crash * 1_000_000), wanted);
        for (const line of lines) acknowledged.add(line);
        const queue = await store.open();
        for (const line of acknowledged) {
          const [what, number = ''] = line.split(' ');
          const task = await require(queue, number, 'crash');
          assert.equal(
            String(Buffer.from((await queue.bytes(task.seq, 'payload')) ?? [])),
            `payload ${number}`,
          );
          if (what !== 'settled') continue;
          assert.equal(task.status, 'Succeeded');
          assert.equal(
            String(Buffer.from((await queue.bytes(task.seq, 'result')) ?? [])),
            `result ${number}`,
          );
        }
        await queue.close();
      }
    });

    it('2: a task id names one task, as long as it is kept', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      const answers = await Promise.all([
        queue.enqueue(newTask('a')),
        queue.enqueue(newTask('a', { requestId: 'another', payload: { bytes: Buffer.from('another') } })),
        queue.enqueue(newTask('a', { functionName: 'g' })),
      ]);
      assert.deepEqual(answers, [
        { requestId: 'request-a', isDuplicate: false },
        { requestId: 'request-a', isDuplicate: true },
        { requestId: 'request-a', isDuplicate: false },
      ]);
      const { lease, payload } = await leaseOne(queue);
      assert.equal(String(Buffer.from(payload ?? [])), 'a');
      assert.equal(await queue.settle(lease, settlement()), true);
      assert.equal((await queue.enqueue(newTask('a'))).isDuplicate, true, 'also when it has ended');
      await queue.close();
    });

    it('3: due tasks come in order, each to one lease', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      for (const [id, dueAt] of [
        ['late', 12],
        ['first', 10],
        ['second', 10],
      ] as const) {
        await queue.enqueue(newTask(id, { dueAt }));
      }
      const taken = await Promise.all([queue.lease('f', 2, 100), queue.lease('f', 2, 100)]);
      assert.deepEqual(taken.map(idsOf), [['first', 'second'], ['late']]);
      assert.deepEqual(await queue.lease('f', 2, 100), { tasks: [], nextDueAt: undefined });
      await queue.close();
    });

    it('3: what is leased is told to whoever looks, and what comes in front of it is next', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      for (const id of ['a', 'b', 'c', 'd']) await queue.enqueue(newTask(id, { dueAt: 20 }));
      const [first, second] = (await queue.lease('f', 2, 100)).tasks;
      assert.ok(first !== undefined && second !== undefined);
      assert.deepEqual(
        (await require(queue, 'a')).events.map(({ status, at }) => [status, at]),
        [
          ['Enqueued', 10],
          ['Dequeued', 100],
        ],
      );
      await queue.enqueue(newTask('front', { dueAt: 15 }));
      const next = await queue.lease('f', 1, 100);
      assert.deepEqual([idsOf(next), next.nextDueAt], [['front'], 20]);
      assert.equal(await queue.release(second.lease, putBack({ dueAt: 16 })), true);
      assert.deepEqual(idsOf(await queue.lease('f', 1, 100)), ['b']);
      assert.deepEqual(
        (await queue.list({ functionName: 'f', statuses: ['Dequeued'], order: 'asc', limit: 9 })).tasks.map(
          ({ taskId, status }) => [taskId, status],
        ),
        [
          ['a', 'Dequeued'],
          ['b', 'Dequeued'],
          ['front', 'Dequeued'],
        ],
      );
      assert.equal(await queue.settle(first.lease, settlement()), true, 'also after somebody has looked');
      assert.deepEqual(await queue.counts(), { waiting: 2, leased: 2, settled: 1, settledBytes: 1 });
      assert.deepEqual(idsOf(await queue.lease('f', 9, 100)), ['c', 'd']);
      assert.deepEqual(await queue.lines(), []);
      await queue.close();
    });

    it('3: what was leased when the queue ended is given out again, with its counts', async () => {
      await using store = await makeStore();
      const first = await store.open();
      await first.enqueue(newTask('a'));
      await first.enqueue(newTask('b'));
      assert.equal(
        await first.release((await leaseOne(first)).lease, putBack({ dueAt: 11, tries: 2 })),
        true,
      );
      const old = await first.lease('f', 2, 100);
      assert.deepEqual(idsOf(old), ['b', 'a']);
      await first.close();
      const second = await store.open();
      const again = await second.lease('f', 2, 100);
      assert.deepEqual(
        again.tasks.map(({ task }) => [task.taskId, task.tries]),
        [
          ['b', 0],
          ['a', 2],
        ],
      );
      for (const { lease } of old.tasks) assert.equal(await second.settle(lease, settlement()), false);
      await second.close();
    });

    it('4: a lease that is over changes nothing', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      await queue.enqueue(newTask('a'));
      const old = await leaseOne(queue);
      assert.equal(await queue.release(old.lease, putBack()), true);
      const progress = {
        status: 'Running',
        startedAt: 60,
        instanceId: 'c-2',
        versionId: '3',
        events: [event('Running', 60)],
      } as const;
      const tried = async (): Promise<boolean[]> => [
        await queue.progress(old.lease, progress),
        await queue.release(old.lease, putBack()),
        await queue.settle(old.lease, settlement()),
      ];
      assert.deepEqual(await tried(), [false, false, false], 'while nobody has it');
      const { lease } = await leaseOne(queue);
      assert.deepEqual(await tried(), [false, false, false], 'while somebody else has it');
      assert.equal(await queue.progress(lease, progress), true);
      const task = await require(queue, 'a');
      assert.deepEqual([task.status, task.startedAt, task.instanceId, task.tries], ['Running', 60, 'c-2', 1]);
      assert.deepEqual(
        task.events.map(({ status }) => status),
        ['Enqueued', 'Dequeued', 'Dequeued', 'Running'],
      );
      await queue.close();
    });

    it('5: nothing is leased before it is due, and the lines tell when that is', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      await queue.enqueue(newTask('a', { dueAt: 200 }));
      await queue.enqueue(newTask('b', { dueAt: 300, functionName: 'g' }));
      await queue.enqueue(newTask('c', { dueAt: 100, functionName: 'g' }));
      assert.deepEqual(await queue.lease('f', 5, 199), { tasks: [], nextDueAt: 200 });
      assert.deepEqual(await queue.lines(), [
        { functionName: 'f', nextDueAt: 200 },
        { functionName: 'g', nextDueAt: 100 },
      ]);
      assert.deepEqual(idsOf(await queue.lease('f', 5, 200)), ['a']);
      assert.deepEqual(idsOf(await queue.lease('g', 5, 200)), ['c']);
      assert.deepEqual(await queue.lines(), [{ functionName: 'g', nextDueAt: 300 }]);
      await queue.close();
    });

    it('6: a settled task is kept whole, and told until it has been handed on', async () => {
      await using store = await makeStore();
      const first = await store.open();
      await first.enqueue(newTask('a'));
      await first.enqueue(newTask('b'));
      const { lease } = await leaseOne(first);
      const error = { code: 'HANDLER_THREW', message: 'no', errorType: 'Error', stackTrace: ['at x'] };
      const ended = settlement({
        status: 'Failed',
        tries: 4,
        startedAt: 25,
        error,
        result: { bytes: Buffer.from('told') },
        resultHead: '{}',
        isToHandOn: true,
      });
      assert.equal(await first.settle(lease, ended), true);
      assert.equal(await first.settle((await leaseOne(first)).lease, settlement()), true);
      await first.close();
      const queue = await store.open();
      assert.deepEqual(idsOf(await queue.lease('f', 5, 1000)), []);
      const task = await require(queue, 'a');
      assert.deepEqual(
        [task.status, task.tries, task.startedAt, task.endedAt, task.error, task.resultHead],
        ['Failed', 4, 25, 30, error, '{}'],
      );
      assert.deepEqual([task.payload, task.result], [{ size: 1 }, { size: 4 }]);
      assert.equal(String(Buffer.from((await queue.bytes(task.seq, 'result')) ?? [])), 'told');
      assert.deepEqual(await queue.toHandOn(0, 5), [task]);
      assert.deepEqual(await queue.toHandOn(task.seq, 5), []);
      await queue.handedOn(task.seq, 'Succeeded');
      assert.deepEqual(await queue.toHandOn(0, 5), []);
      assert.equal((await require(queue, 'a')).destinationStatus, 'Succeeded');
      await queue.close();
    });

    it('7: stopping ends what waits, and marks what is leased', async () => {
      await using store = await makeStore();
      const first = await store.open();
      for (const id of ['a', 'b']) await first.enqueue(newTask(id));
      const leased = await leaseOne(first);
      const stop = (queue: Queue, id: string) => queue.stop('f', id, event('Stopped', 40));
      assert.equal(await stop(first, 'nobody'), 'unknown');
      assert.equal(await stop(first, 'b'), 'stopped');
      assert.equal(await stop(first, 'b'), 'stopped', 'asked again it says the same');
      assert.equal(await stop(first, leased.task.taskId), 'leased');
      assert.equal((await require(first, 'a')).status, 'Stopping');
      assert.deepEqual(
        [(await require(first, 'b')).status, (await require(first, 'b')).endedAt],
        ['Stopped', 40],
      );
      await first.enqueue(newTask('c'));
      const retried = await leaseOne(first);
      assert.equal(await stop(first, 'c'), 'leased');
      assert.equal(await first.release(retried.lease, putBack({ events: [event('Failed', 41)] })), true);
      assert.deepEqual(
        [(await require(first, 'c')).status, (await require(first, 'c')).endedAt],
        ['Stopped', 41],
      );
      await first.close();
      const queue = await store.open();
      assert.equal((await require(queue, 'a')).status, 'Stopped');
      assert.deepEqual(idsOf(await queue.lease('f', 5, 100)), []);
      await queue.close();
    });

    it('8: lists go by time, by what is asked for, and page by page', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      for (let n = 0; n < 7; n += 1) {
        const qualifier = n % 2 === 0 ? 'LATEST' : 'prod';
        await queue.enqueue(newTask(`${n < 4 ? 'x' : 'y'}-${n}`, { enqueuedAt: 10 + n, qualifier }));
      }
      await queue.enqueue(newTask('x-other', { functionName: 'g' }));
      const list = async (fields: Partial<TaskQuery> = {}): Promise<string[]> => {
        const ids: string[] = [];
        let after: string | undefined;
        do {
          const page = await queue.list({ functionName: 'f', order: 'asc', limit: 2, ...fields, after });
          assert.ok(page.tasks.length <= 2);
          ids.push(...page.tasks.map(({ taskId }) => taskId));
          after = page.next;
        } while (after !== undefined);
        return ids;
      };
      assert.deepEqual(await list(), ['x-0', 'x-1', 'x-2', 'x-3', 'y-4', 'y-5', 'y-6']);
      assert.deepEqual(await list({ order: 'desc', prefix: 'x' }), ['x-3', 'x-2', 'x-1', 'x-0']);
      assert.deepEqual(await list({ qualifier: 'prod' }), ['x-1', 'x-3', 'y-5']);
      assert.deepEqual(await list({ enqueuedFrom: 12, enqueuedTo: 14 }), ['x-2', 'x-3', 'y-4']);
      await queue.stop('f', 'x-2', event('Stopped'));
      assert.deepEqual(await list({ statuses: ['Stopped'] }), ['x-2']);
      assert.deepEqual(await list({ statuses: ['Stopped', 'Enqueued'], prefix: 'x-' }), [
        'x-0',
        'x-1',
        'x-2',
        'x-3',
      ]);
      await assert.rejects(
        queue.list({ functionName: 'f', order: 'asc', limit: 2, after: 'x' }),
        isRefused('INVALID_ARGUMENT'),
      );
      await queue.close();
    });

    it('9: invalidating ends what waits, and nothing that comes later', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      const count = 1203;
      await Promise.all(Array.from({ length: count }, (_, n) => queue.enqueue(newTask(`t${n}`))));
      await leaseOne(queue);
      const error = { code: 'FUNCTION_NOT_FOUND', message: 'gone' };
      const [settled] = await Promise.all([
        queue.invalidate('f', error, event('Invalid')),
        queue.enqueue(newTask('later')),
      ]);
      assert.ok(settled === count - 1 || settled === count, `${settled}`);
      const later = await queue.get('f', 'later');
      if (settled === count - 1) assert.equal(later?.status, 'Enqueued');
      const [one] = (await queue.list({ functionName: 'f', statuses: ['Invalid'], order: 'asc', limit: 1 }))
        .tasks;
      assert.deepEqual(one?.error, error);
      assert.equal((await queue.counts()).leased, 1);
      await queue.close();
    });

    it('10: beyond the bound nothing is accepted, and nothing else is harmed', async () => {
      await using store = await makeStore();
      const queue = await store.open({ waitingMax: 2 });
      const answers = await Promise.allSettled(['a', 'b', 'c'].map((id) => queue.enqueue(newTask(id))));
      assert.deepEqual(
        answers.map(({ status }) => status),
        ['fulfilled', 'fulfilled', 'rejected'],
      );
      const [, , refused] = answers;
      assert.ok(refused?.status === 'rejected' && isRefused('QUEUE_FULL')(refused.reason));
      assert.equal(await queue.get('f', 'c'), undefined);
      await leaseOne(queue);
      assert.equal((await queue.enqueue(newTask('c'))).isDuplicate, false);
      await queue.close();
    });

    it('11: trimming removes what was settled longest ago, and nothing that is to be handed on', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      const ended: Record<string, Partial<Settlement>> = {
        old: { endedAt: 30 },
        held: { endedAt: 31, isToHandOn: true },
        dead: { endedAt: 32, status: 'Failed' },
        young: { endedAt: 90 },
        younger: { endedAt: 91 },
      };
      for (const [id, fields] of Object.entries(ended)) {
        await queue.enqueue(newTask(id));
        await queue.settle((await leaseOne(queue)).lease, settlement(fields));
      }
      await queue.enqueue(newTask('waiting'));
      const left = async (): Promise<string[]> => {
        const { tasks } = await queue.list({ functionName: 'f', order: 'asc', limit: 20 });
        return tasks.map(({ taskId }) => taskId);
      };
      await queue.trim(KEEP_ALL);
      assert.equal((await left()).length, 6);
      assert.deepEqual(await queue.trim({ ...KEEP_ALL, settledBefore: 50 }), {
        removed: 1,
        removedBlobs: false,
        isMore: false,
      });
      assert.deepEqual(await left(), ['held', 'dead', 'young', 'younger', 'waiting']);
      await queue.trim({ ...KEEP_ALL, settledMax: 3 });
      assert.deepEqual(await left(), ['held', 'dead', 'younger', 'waiting'], 'dead letters go last');
      await queue.trim({ ...KEEP_ALL, settledBytesMax: 0 });
      assert.deepEqual(await left(), ['held', 'waiting']);
      assert.deepEqual(await queue.counts(), { waiting: 1, leased: 0, settled: 1, settledBytes: 4 });
      await queue.close();
    });

    it('11: the blobs of what is kept are known', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      await queue.enqueue(newTask('a', { payload: { blob: 'aa', size: 70_000 } }));
      await queue.enqueue(newTask('b', { payload: { blob: 'aa', size: 70_000 } }));
      const leased = await leaseOne(queue);
      assert.equal(leased.payload, undefined);
      assert.deepEqual(leased.task.payload, { size: 70_000, blob: 'aa' });
      await queue.settle(leased.lease, settlement({ result: { blob: 'bb', size: 90_000 } }));
      assert.deepEqual([...(await queue.blobs())].toSorted(), ['aa', 'bb']);
      const trimmed = await queue.trim({ ...KEEP_ALL, settledBefore: 1000 });
      assert.deepEqual(trimmed, { removed: 1, removedBlobs: true, isMore: false });
      assert.deepEqual([...(await queue.blobs())], ['aa'], 'the other task has the same payload');
      await queue.close();
    });

    it('12: a dead letter is redriven once, as a task of its own, or removed', async () => {
      await using store = await makeStore();
      const queue = await store.open();
      for (const [n, taskId] of ['a', 'b', 'c', 'ok'].entries()) {
        await queue.enqueue(newTask(taskId));
        const status = taskId === 'ok' ? 'Succeeded' : 'Failed';
        const fields = { status, endedAt: 30 + n, isToHandOn: taskId === 'c' } as const;
        await queue.settle((await leaseOne(queue)).lease, settlement(fields));
      }
      const dead = async (after?: string): Promise<[string[], string | undefined]> => {
        const { tasks, next } = await queue.deadLetters({ limit: 2, after });
        return [tasks.map(({ taskId }) => taskId), next];
      };
      const [newest, next] = await dead();
      assert.deepEqual(newest, ['c', 'b']);
      assert.deepEqual(await dead(next), [['a'], undefined]);
      assert.deepEqual((await queue.deadLetters({ functionName: 'g', limit: 2 })).tasks, []);
      const redrive = { taskId: 'again', requestId: 'request-again', trigger: 'redrive', at: 50 } as const;
      assert.equal(await queue.redrive('f', 'ok', redrive), false, 'it is none');
      assert.equal(await queue.redrive('f', 'b', redrive), true);
      assert.equal(await queue.redrive('f', 'b', { ...redrive, taskId: 'twice' }), false);
      assert.equal((await queue.get('f', 'b'))?.status, 'Failed');
      assert.deepEqual(await dead(), [['c', 'a'], undefined]);
      const { task, payload } = await leaseOne(queue, 60);
      assert.deepEqual([task.taskId, task.trigger, task.tries], ['again', 'redrive', 0]);
      assert.equal(Buffer.from(payload ?? []).toString(), 'b');
      assert.equal(await queue.removeDead('f', 'c'), 'held');
      assert.equal(await queue.removeDead('f', 'a'), 'removed');
      assert.equal(await queue.removeDead('f', 'a'), 'unknown');
      assert.deepEqual(await dead(), [['c'], undefined]);
      await queue.close();
    });

    it('13: closing ends what was asked for, and refuses what comes later', async () => {
      await using store = await makeStore();
      const first = await store.open();
      const enqueued = Array.from({ length: 3000 }, (_, n) => first.enqueue(newTask(`t${n}`)));
      await first.close();
      assert.equal((await Promise.all(enqueued)).length, 3000);
      await assert.rejects(first.enqueue(newTask('late')), isRefused('SHUTTING_DOWN'));
      await first.close();
      const queue = await store.open();
      assert.equal((await queue.counts()).waiting, 3000);
      await queue.close();
    });
  });
}
