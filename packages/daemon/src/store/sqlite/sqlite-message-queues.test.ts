import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testMessageQueuesContract } from '../message-queues-contract.ts';
import { SqliteMessageQueues } from './sqlite-message-queues.ts';

const writer = fileURLToPath(new URL('sqlite-message-queues-writer.ts', import.meta.url));

testMessageQueuesContract('SqliteMessageQueues', async () => {
  const path = await mkdtemp(join(tmpdir(), 'thaw-messages-'));
  return {
    open: (clock) => new SqliteMessageQueues(path, 'messages.db', clock),
    writer: (first) => [writer, path, String(first)],
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
});
