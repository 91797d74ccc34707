import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ManualClock } from '../base/clock.ts';
import { killAfterAcknowledgements } from './crash-process.ts';
import type { MessageQueues, QueueAttributes, Received } from './message-queues.ts';

/** One store, fresh when made; opened again it holds what was written. */
export interface MessageQueuesStore {
  open(clock: ManualClock): MessageQueues | Promise<MessageQueues>;
  /** The program and arguments of a process that opens the store and runs `sendForever` from message `first`. */
  writer(first: number): readonly [string, ...string[]];
  [Symbol.asyncDispose](): Promise<void>;
}

export const CRASH_QUEUE = 'crash';
export const ATTRIBUTES: QueueAttributes = {
  visibilityTimeoutMs: 30_000,
  delayMs: 0,
  retentionMs: 3_600_000,
  messageBytesMax: 1_000,
};
const START_MS = Date.parse('2026-11-21T00:00:00Z');
const CRASHES = 3;

/**
 * Sends pairs of messages and receives and acknowledges every third pair; `sent <n>` and `done <n>` are the
 * acknowledgements.
 */
export async function sendForever(
  queues: MessageQueues,
  first: number,
  tell: (line: string) => void,
): Promise<never> {
  if (queues.attributesOf(CRASH_QUEUE) === undefined) await queues.create(CRASH_QUEUE, ATTRIBUTES);
  for (let n = first; ; n += 1) {
    await queues.send(CRASH_QUEUE, [{ body: `${n} left` }, { body: `${n} right` }]);
    tell(`sent ${n}`);
    if (n % 3 !== 0) continue;
    const { messages } = await queues.receive(CRASH_QUEUE, { limit: 2 });
    await queues.acknowledge(
      CRASH_QUEUE,
      messages.map((message) => message.receipt),
    );
    for (const { body } of messages) tell(`done ${body}`);
  }
}

/** The contract of `MessageQueues`; the numbers are those of its doc comment. */
export function testMessageQueuesContract(name: string, makeStore: () => Promise<MessageQueuesStore>): void {
  interface Rig {
    readonly queues: MessageQueues;
    readonly clock: ManualClock;
    readonly store: MessageQueuesStore;
  }
  const withQueues = async (work: (rig: Rig) => Promise<void>): Promise<void> => {
    await using store = await makeStore();
    const clock = new ManualClock(START_MS);
    const queues = await store.open(clock);
    try {
      await queues.create('q', ATTRIBUTES);
      await work({ queues, clock, store });
    } finally {
      await queues.close();
    }
  };

  describe(`${name} keeps the contract of MessageQueues`, () => {
    it('1: what was acknowledged survives kill -9, what was sent together whole', async () => {
      await using store = await makeStore();
      let first = 1;
      const sent = new Set<string>();
      const done = new Set<string>();
      for (let crash = 0; crash < CRASHES; crash += 1) {
        const wanted = 20 + Math.floor(Math.random() * 40);
        for (const line of await killAfterAcknowledgements(store.writer(first), wanted)) {
          const [kind, ...rest] = line.split(' ');
          if (kind === 'done') done.add(rest.join(' '));
          else for (const half of ['left', 'right']) sent.add(`${rest[0]} ${half}`);
          if (kind === 'sent') first = Number(rest[0]) + 1;
        }
        // What was sent and not acknowledged when it was killed has a number of its own.
        first += 1;
      }
      const clock = new ManualClock(Date.now() + 2 * ATTRIBUTES.visibilityTimeoutMs);
      const queues = await store.open(clock);
      try {
        const found = new Set<string>();
        for (;;) {
          const { messages } = await queues.receive(CRASH_QUEUE, { limit: 100 });
          if (messages.length === 0) break;
          for (const { body } of messages) {
            assert(!found.has(body), `${body} is there twice`);
            found.add(body);
          }
        }
        // Sent, and perhaps acknowledged without having told of it: at most one receive of each crash.
        const missing = [...sent].filter((body) => !found.has(body) && !done.has(body));
        assert(missing.length <= 2 * CRASHES, `lost: ${missing.join(', ')}`);
        for (const body of done) assert(!found.has(body), `${body} was acknowledged and is back`);
        for (const body of found) {
          const other = body.endsWith('left') ? body.replace('left', 'right') : body.replace('right', 'left');
          const isWhole = found.has(other) || done.has(other) || missing.includes(other);
          assert(isWhole, `half of what was sent together: ${body}`);
        }
      } finally {
        await queues.close();
      }
    });

    it('1: what was written is there after a close', async () => {
      await withQueues(async ({ queues, clock, store }) => {
        await queues.send('q', [{ body: 'one', attributes: { kind: 'first' } }]);
        const described = await queues.get('q');
        await queues.close();
        const again = await store.open(clock);
        try {
          assert.deepEqual(await again.get('q'), described);
          const { messages } = await again.receive('q', { limit: 10 });
          assert.deepEqual(
            messages.map(({ messageId: _id, receipt: _receipt, ...message }) => message),
            [
              {
                body: 'one',
                attributes: { kind: 'first' },
                sentAt: START_MS,
                firstReceivedAt: START_MS,
                receiveCount: 1,
              },
            ],
          );
        } finally {
          await again.close();
        }
      });
    });

    it('2: each message goes to one receiver until its visibility ends, and every receipt counts', async () => {
      await withQueues(async ({ queues, clock }) => {
        const ids = await queues.send('q', [{ body: 'a' }, { body: 'b' }, { body: 'c' }]);
        const [one, other] = await Promise.all([
          queues.receive('q', { limit: 2 }),
          queues.receive('q', { limit: 2, visibilityTimeoutMs: 5_000 }),
        ]);
        assert.deepEqual([bodies(one), bodies(other)], [['a', 'b'], ['c']]);
        assert.deepEqual(
          [...one.messages, ...other.messages].map((message) => message.messageId),
          ids,
        );
        const none = await queues.receive('q', { limit: 10 });
        assert.deepEqual(none, { messages: [], nextVisibleAt: START_MS + 5_000 });
        clock.advance(5_000);
        const back = await queues.receive('q', { limit: 10 });
        assert.deepEqual(bodies(back), ['c']);
        assert.equal(back.messages[0]?.receiveCount, 2);
        clock.advance(25_000);
        assert.deepEqual(bodies(await queues.receive('q', { limit: 10 })), ['a', 'b']);
      });
    });

    it('2: many calls at once are each answered, and no message goes to two', async () => {
      await withQueues(async ({ queues }) => {
        const numbers = Array.from({ length: 300 }, (_, n) => n);
        let sent = 0;
        const sending = numbers.map(async (n) => {
          // Over many turns: calls come while others are on their way back.
          for (let turn = 0; turn < n % 7; turn += 1) await new Promise((resolve) => setImmediate(resolve));
          await queues.send('q', [{ body: String(n) }]);
          sent += 1;
        });
        const received: string[] = [];
        const receiving = async (): Promise<void> => {
          while (received.length < numbers.length) {
            const { messages } = await queues.receive('q', { limit: 7 });
            received.push(...messages.map(({ body }) => body));
          }
        };
        await Promise.all([...sending, receiving(), receiving(), receiving()]);
        assert.equal(sent, numbers.length);
        assert.equal(new Set(received).size, numbers.length);
        assert.equal(received.length, numbers.length);
      });
    });

    it('3: only the newest receipt counts; what is gone is acknowledged', async () => {
      await withQueues(async ({ queues, clock }) => {
        await queues.send('q', [{ body: 'a' }]);
        const first = receiptOf(await queues.receive('q', { limit: 1 }));
        clock.advance(30_000);
        const second = receiptOf(await queues.receive('q', { limit: 1 }));
        assert.notEqual(first, second);
        assert.deepEqual(await queues.acknowledge('q', [first]), [false]);
        const change = { receipt: first, visibilityTimeoutMs: 0 };
        assert.deepEqual(await queues.changeVisibility('q', [change]), [false]);
        assert.deepEqual(await queues.changeVisibility('q', [{ ...change, receipt: second }]), [true]);
        const third = receiptOf(await queues.receive('q', { limit: 1 }));
        assert.deepEqual(await queues.acknowledge('q', [third]), [true]);
        assert.deepEqual(await queues.acknowledge('q', [third]), [true]);
        assert.equal((await queues.get('q'))?.messages, 0);
        await rejectsWith(queues.acknowledge('q', [third, 'nonsense']), 'INVALID_ARGUMENT');
      });
    });

    it('3: a visibility may be made longer, and a receipt be taken back', async () => {
      await withQueues(async ({ queues, clock }) => {
        await queues.send('q', [{ body: 'a' }]);
        const receipt = receiptOf(await queues.receive('q', { limit: 1 }));
        await queues.changeVisibility('q', [{ receipt, visibilityTimeoutMs: 60_000, isUncounted: true }]);
        clock.advance(59_999);
        assert.deepEqual(bodies(await queues.receive('q', { limit: 1 })), []);
        clock.advance(1);
        assert.equal((await queues.receive('q', { limit: 1 })).messages[0]?.receiveCount, 1);
      });
    });

    it('4: a delay passes first, the message’s own or the queue’s', async () => {
      await withQueues(async ({ queues, clock }) => {
        await queues.create('slow', { ...ATTRIBUTES, delayMs: 2_000 });
        await queues.send('slow', [{ body: 'queue' }, { body: 'own', delayMs: 1_000 }]);
        const { delayed, visible, inFlight } =
          (await queues.get('slow')) ?? assert.fail('the queue is there');
        assert.deepEqual({ delayed, visible, inFlight }, { delayed: 2, visible: 0, inFlight: 0 });
        clock.advance(999);
        const early = await queues.receive('slow', { limit: 10 });
        assert.deepEqual(early, { messages: [], nextVisibleAt: START_MS + 1_000 });
        clock.advance(1);
        assert.deepEqual(bodies(await queues.receive('slow', { limit: 10 })), ['own']);
        clock.advance(1_000);
        assert.deepEqual(bodies(await queues.receive('slow', { limit: 10 })), ['queue']);
      });
    });

    it('5: what was received too often is dead, and can be brought back', async () => {
      await withQueues(async ({ queues, clock }) => {
        await queues.create('work', { ...ATTRIBUTES, maxReceives: 2, deadLetterQueue: 'q' });
        const [messageId] = await queues.send('work', [{ body: 'poison', attributes: { a: 'b' } }]);
        for (let count = 1; count <= 2; count += 1) {
          assert.deepEqual(bodies(await queues.receive('work', { limit: 1 })), ['poison']);
          clock.advance(30_000);
        }
        assert.deepEqual(bodies(await queues.receive('work', { limit: 1 })), []);
        assert.equal((await queues.get('work'))?.messages, 0);
        const [dead] = (await queues.receive('q', { limit: 1, visibilityTimeoutMs: 0 })).messages;
        assert.deepEqual(
          [dead?.messageId, dead?.body, dead?.attributes, dead?.receiveCount, dead?.deadLetterSource],
          [messageId, 'poison', { a: 'b' }, 1, 'work'],
        );
        assert.equal(await queues.redrive('q', 100), 1);
        assert.equal(await queues.redrive('q', 100), 0);
        const [back] = (await queues.receive('work', { limit: 1 })).messages;
        assert.deepEqual([back?.messageId, back?.receiveCount], [messageId, 1]);
        assert.deepEqual(await queues.acknowledge('work', [dead?.receipt ?? '']), [false]);
      });
    });

    it('6: what is too old is not received, and a dead letter’s age begins anew', async () => {
      await withQueues(async ({ queues, clock }) => {
        await queues.create('work', { ...ATTRIBUTES, maxReceives: 1, deadLetterQueue: 'q' });
        await queues.send('work', [{ body: 'dies' }]);
        clock.advance(ATTRIBUTES.retentionMs - 1);
        assert.deepEqual(bodies(await queues.receive('work', { limit: 1, visibilityTimeoutMs: 0 })), [
          'dies',
        ]);
        assert.deepEqual(bodies(await queues.receive('work', { limit: 1 })), []);
        clock.advance(ATTRIBUTES.retentionMs - 1);
        assert.deepEqual(bodies(await queues.receive('q', { limit: 1, visibilityTimeoutMs: 0 })), ['dies']);
        clock.advance(1);
        assert.deepEqual(bodies(await queues.receive('q', { limit: 1 })), []);
        await queues.send('q', [{ body: 'old' }]);
        clock.advance(ATTRIBUTES.retentionMs);
        assert.equal(await queues.expire(), 1);
        assert.deepEqual([(await queues.get('q'))?.messages, (await queues.get('q'))?.bytes], [0, 0]);
      });
    });

    it('7: what cannot be is refused by name and harms nobody', async () => {
      await withQueues(async ({ queues }) => {
        const settled = await Promise.allSettled([
          queues.send('q', [{ body: 'good' }]),
          queues.send('q', [{ body: 'good' }, { body: 'x'.repeat(1_001) }]),
          queues.send('nowhere', [{ body: 'lost' }]),
          queues.create('q', ATTRIBUTES),
          queues.send('q', [{ body: 'good too' }]),
        ]);
        assert.deepEqual(
          settled.map((each) => (each.status === 'fulfilled' ? 'ok' : codeOf(each.reason))),
          ['ok', 'PAYLOAD_TOO_LARGE', 'QUEUE_NOT_FOUND', 'QUEUE_EXISTS', 'ok'],
        );
        assert.deepEqual(bodies(await queues.receive('q', { limit: 10 })), ['good', 'good too']);
        const toQ = { ...ATTRIBUTES, maxReceives: 1, deadLetterQueue: 'q' };
        await queues.create('work', toQ);
        await rejectsWith(queues.delete('q'), 'IN_USE');
        await rejectsWith(queues.update('q', toQ), 'INVALID_ARGUMENT');
        await rejectsWith(queues.update('work', { ...toQ, deadLetterQueue: 'nowhere' }), 'QUEUE_NOT_FOUND');
        await queues.update('work', { ...ATTRIBUTES, delayMs: 7 });
        assert.equal((await queues.get('work'))?.attributes.delayMs, 7);
        await queues.delete('q');
      });
    });

    it('8: a purge leaves nothing, and a new queue of an old name has nothing of it', async () => {
      await withQueues(async ({ queues }) => {
        await queues.send('q', [{ body: 'a' }, { body: 'b' }]);
        const receipt = receiptOf(await queues.receive('q', { limit: 1 }));
        assert.equal(await queues.purge('q'), 2);
        assert.deepEqual(await queues.acknowledge('q', [receipt]), [true]);
        await queues.send('q', [{ body: 'c' }]);
        await queues.delete('q');
        assert.deepEqual([await queues.list(), queues.names()], [[], []]);
        await queues.create('q', ATTRIBUTES);
        assert.deepEqual(bodies(await queues.receive('q', { limit: 1 })), []);
      });
    });

    it('9: what a part of the platform was working on is visible after a restart', async () => {
      await withQueues(async ({ queues, clock, store }) => {
        await queues.send('q', [
          { body: 'outside' },
          { body: 'held' },
          { body: 'kept' },
          { body: 'put back' },
        ]);
        await queues.receive('q', { limit: 1 });
        const held = await queues.receive('q', { limit: 3, endsWithStore: true });
        const [, kept, putBack] = held.messages;
        await queues.changeVisibility('q', [
          { receipt: kept?.receipt ?? '', visibilityTimeoutMs: 90_000, isKept: true },
          { receipt: putBack?.receipt ?? '', visibilityTimeoutMs: 20_000 },
        ]);
        await queues.close();
        const again = await store.open(clock);
        try {
          const found = await again.receive('q', { limit: 10 });
          assert.deepEqual(bodies(found), ['held', 'kept']);
          assert.deepEqual(
            found.messages.map((message) => message.receiveCount),
            [2, 2],
          );
          clock.advance(20_000);
          assert.deepEqual(bodies(await again.receive('q', { limit: 10 })), ['put back']);
        } finally {
          await again.close();
        }
      });
    });

    it('10: watchers hear of what a call made visible', async () => {
      await withQueues(async ({ queues }) => {
        let told = 0;
        let heard = Promise.withResolvers<void>();
        const unwatch = queues.watch('q', () => {
          told += 1;
          heard.resolve();
        });
        await queues.send('q', [{ body: 'a' }]);
        await heard.promise;
        const receipt = receiptOf(await queues.receive('q', { limit: 1 }));
        heard = Promise.withResolvers();
        await queues.changeVisibility('q', [{ receipt, visibilityTimeoutMs: 0 }]);
        await heard.promise;
        heard = Promise.withResolvers();
        const unwatchLater = queues.watch('later', () => heard.resolve());
        await queues.create('later', queues.attributesOf('q') ?? assert.fail('it is there'));
        await heard.promise;
        unwatchLater();
        unwatch();
        const before = told;
        await queues.send('q', [{ body: 'b' }]);
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(told, before);
      });
    });
  });
}

function bodies({ messages }: Received): string[] {
  return messages.map((message) => message.body);
}

function receiptOf({ messages }: Received): string {
  return messages[0]?.receipt ?? assert.fail('nothing was received');
}

function codeOf(error: unknown): string {
  return error instanceof ThawError ? error.code : String(error);
}

async function rejectsWith(work: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(work, (error) => codeOf(error) === code);
}
