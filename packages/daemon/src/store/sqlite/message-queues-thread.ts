import { parentPort, workerData } from 'node:worker_threads';
import { systemClock, type Clock } from '../../base/clock.ts';
import type {
  FromMessageQueuesThread,
  MessageQueuesCall,
  MessageQueuesReply,
  MessageQueuesThreadData,
  ToMessageQueuesThread,
} from './message-queues-messages.ts';
import { SqliteMessageQueues } from './sqlite-message-queues.ts';
import { toldError } from './told-error.ts';

/**
 * The thread that owns the file of message queues: only it waits for the disk. The calls of one message go into one
 * commit, and so do those of all that come in one turn; replies of a turn go back together.
 */
const port = parentPort;
if (port === null) throw new Error('this file is a thread of the daemon');
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- ThreadedMessageQueues alone starts this thread
const { directory, file, nowMs } = workerData as MessageQueuesThreadData;
const tell = (message: FromMessageQueuesThread): void => port.postMessage(message);

let toldMs = nowMs;
/** Time is what the callers' clock says. */
const clock: Clock = { now: () => toldMs, monotonicMs: () => systemClock.monotonicMs() };
let replies: MessageQueuesReply[] = [];
let visible = new Set<string>();
let isFlushing = false;

try {
  const queues = new SqliteMessageQueues(directory, file, clock, (name) => {
    visible.add(name);
    flushLater();
  });
  port.on('message', (message: ToMessageQueuesThread) => {
    if ('close' in message) {
      void queues.close();
      port.close();
      return;
    }
    toldMs = message.nowMs;
    for (const call of message.calls) void answer(queues, call);
  });
  tell({
    kind: 'opened',
    queues: queues.names().flatMap((name) => {
      const attributes = queues.attributesOf(name);
      return attributes === undefined ? [] : [[name, attributes] as const];
    }),
  });
} catch (error) {
  tell({ kind: 'refused', error: toldError('open the message queues', error) });
  port.close();
}

async function answer(queues: SqliteMessageQueues, { id, method, args }: MessageQueuesCall): Promise<void> {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- MessageQueuesCall pairs each method with its arguments
    const call = queues[method] as (...given: unknown[]) => Promise<unknown>;
    const value = await call.apply(queues, [...args]);
    replies.push({ id, value });
  } catch (error) {
    replies.push({ id, error: toldError('use the message queues', error) });
  }
  flushLater();
}

function flushLater(): void {
  if (isFlushing) return;
  isFlushing = true;
  setImmediate(() => {
    isFlushing = false;
    const told = replies;
    const names = [...visible];
    replies = [];
    visible = new Set();
    if (told.length > 0) tell({ kind: 'replies', replies: told });
    if (names.length > 0) tell({ kind: 'visible', names });
  });
}
