import { writeSync } from 'node:fs';
import type { Blobs } from './blobs.ts';
import type { NewTask, Queue, Settlement } from './queue.ts';
import type { Records } from './records.ts';

/** What the contract suites run in a child process until it is killed: each line on stdout is an acknowledgement. */

/**
 * Step n writes `left/n` and `right/n` in one batch; every third step also deletes the pair n / 3 in one batch. The
 * acknowledgement is `n revision`, the revision being that of a further put of `last`.
 */
export function writeRecordsForever(records: Records, first: number): never {
  for (let n = first; ; n += 1) {
    records.batch([
      { kind: 'put', key: `left/${n}`, value: { n } },
      { kind: 'put', key: `right/${n}`, value: { n } },
    ]);
    if (n % 3 === 0) {
      records.batch([
        { kind: 'delete', key: `left/${n / 3}` },
        { kind: 'delete', key: `right/${n / 3}` },
      ]);
    }
    const revision = records.put('last', n);
    writeSync(1, `${n} ${revision}\n`);
  }
}

const CRASH_BLOB_BYTES = 200_000;

/** Puts blobs of distinct bytes; the acknowledgement is the digest. */
export async function writeBlobsForever(blobs: Blobs, seed: string): Promise<never> {
  for (let n = 0; ; n += 1) {
    const { digest } = await blobs.put(
      Buffer.from(`${seed} ${n} `.repeat(CRASH_BLOB_BYTES / 20)),
      2 * CRASH_BLOB_BYTES,
    );
    writeSync(1, `${digest}\n`);
  }
}

const CRASH_LINE = 'crash';
const CRASH_TASKS_AT_ONCE = 16;

/**
 * Enqueues tasks of `first`, `first + 1`, ..., many at a time, and works every third of them off. The acknowledgements
 * are `enqueued <n>` and `settled <n>`.
 */
export async function writeQueueForever(queue: Queue, first: number): Promise<never> {
  for (let n = first; ; n += CRASH_TASKS_AT_ONCE) {
    const numbers = Array.from({ length: CRASH_TASKS_AT_ONCE }, (_, index) => n + index);
    await Promise.all(
      numbers.map(async (number) => {
        await queue.enqueue(crashTask(number));
        writeSync(1, `enqueued ${number}\n`);
      }),
    );
    const { tasks } = await queue.lease(CRASH_LINE, Math.ceil(CRASH_TASKS_AT_ONCE / 3), n);
    await Promise.all(
      tasks.map(async ({ lease, task }) => {
        await queue.settle(lease, crashSettlement(Number(task.taskId)));
        writeSync(1, `settled ${task.taskId}\n`);
      }),
    );
  }
}

export function crashTask(number: number): NewTask {
  return {
    functionName: CRASH_LINE,
    taskId: String(number),
    qualifier: 'LATEST',
    requestId: `request-${number}`,
    trigger: 'api',
    payload: { bytes: Buffer.from(`payload ${number}`) },
    enqueuedAt: 0,
    dueAt: 0,
  };
}

function crashSettlement(number: number): Settlement {
  return {
    status: 'Succeeded',
    tries: 0,
    endedAt: 1,
    instanceId: 'c-1',
    versionId: 'LATEST',
    result: { bytes: Buffer.from(`result ${number}`) },
    events: [{ status: 'Succeeded', at: 1, detail: '' }],
    isToHandOn: false,
  };
}
