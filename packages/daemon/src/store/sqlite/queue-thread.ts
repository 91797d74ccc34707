import { parentPort, workerData } from 'node:worker_threads';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { QueueDatabase } from './queue-database.ts';
import type {
  FromQueueThread,
  QueueCall,
  QueueReply,
  QueueThreadData,
  ToQueueThread,
} from './queue-messages.ts';
import { toldError } from './told-error.ts';

const DOING = 'use the queue of asynchronous invocations';

/**
 * The thread that owns the queue's database: only it waits for the disk. All calls of a message are one commit, so that
 * they share one wait; where that commit fails each gets one of its own, and only what cannot be done is refused.
 */
const port = parentPort;
if (port === null) throw new Error('this file is a thread of the daemon');
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- SqliteQueue alone starts this thread
const { directory, nowMs, options } = workerData as QueueThreadData;
const tell = (message: FromQueueThread): void => port.postMessage(message);

try {
  const database = new QueueDatabase(directory, nowMs, options);
  port.on('message', (message: ToQueueThread) => {
    if ('close' in message) {
      database.close();
      port.close();
    } else {
      tell({ kind: 'replies', replies: commit(database, message.calls) });
    }
  });
  tell({ kind: 'opened' });
} catch (error) {
  tell({ kind: 'refused', error: toldError(DOING, error) });
  port.close();
}

function commit(database: QueueDatabase, calls: readonly QueueCall[]): readonly QueueReply[] {
  let replies: QueueReply[] = [];
  try {
    database.commit(() => {
      replies = calls.map((call) => answer(database, call));
    });
    return replies;
  } catch (error) {
    if (calls.length === 1) return [{ error: toldError(DOING, error) }];
    return calls.flatMap((call) => commit(database, [call]));
  }
}

/** A refusal has written nothing and is that call's own affair; anything else undoes the commit. */
function answer(database: QueueDatabase, { method, args }: QueueCall): QueueReply {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- QueueCall pairs each method with its arguments
    const call = database[method] as (...given: unknown[]) => unknown;
    return { value: call.apply(database, [...args]) };
  } catch (error) {
    if (error instanceof ThawError) return { error: toldError(DOING, error) };
    throw error;
  }
}
