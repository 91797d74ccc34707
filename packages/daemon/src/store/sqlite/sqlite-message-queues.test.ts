import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testMessageQueuesContract, type MessageQueuesStore } from '../message-queues-contract.ts';
import { SqliteMessageQueues } from './sqlite-message-queues.ts';
import { ThreadedMessageQueues } from './threaded-message-queues.ts';

const writer = fileURLToPath(new URL('sqlite-message-queues-writer.ts', import.meta.url));

async function storeOf(
  open: (
    directory: string,
    ...rest: Parameters<MessageQueuesStore['open']>
  ) => ReturnType<MessageQueuesStore['open']>,
): Promise<MessageQueuesStore> {
  const path = await mkdtemp(join(tmpdir(), 'thaw-messages-'));
  return {
    open: (clock) => open(path, clock),
    writer: (first) => [writer, path, String(first)],
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}

testMessageQueuesContract('SqliteMessageQueues', () =>
  storeOf((path, clock) => new SqliteMessageQueues(path, 'messages.db', clock)),
);

testMessageQueuesContract('ThreadedMessageQueues', () =>
  storeOf((path, clock) => ThreadedMessageQueues.open(path, 'messages.db', clock)),
);
