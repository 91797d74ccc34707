import { parentPort, workerData } from 'node:worker_threads';
import { SqliteKeptCalls, type KeptWrite } from './sqlite-kept-calls.ts';
import type { KeptWriterData, KeptWriterMessage, KeptWriterReply } from './threaded-kept-calls.ts';

/**
 * The thread behind `ThreadedKeptCalls`: what has come in one turn is one commit, so that it shares one wait for the
 * disk; where that fails each gets one of its own.
 */
const port = parentPort;
if (port === null) throw new Error('this file is a thread of the daemon');
const data: KeptWriterData = workerData;
let store: SqliteKeptCalls | undefined;
let waiting: { readonly number: number; readonly write: KeptWrite }[] = [];

port.on('message', (message: KeptWriterMessage) => {
  if (message.kind === 'close') {
    flush();
    store?.close();
    port.close();
    return;
  }
  if (waiting.length === 0) setImmediate(flush);
  waiting.push(message);
});

function flush(): void {
  const batch = waiting;
  waiting = [];
  if (batch.length > 0) commit(batch);
}

function commit(batch: typeof waiting): void {
  let error: unknown;
  try {
    // Opened where its failure is that of a write.
    store ??= new SqliteKeptCalls(data.directory, Date.now);
    store.write(batch.map(({ write }) => write));
  } catch (thrown) {
    if (batch.length > 1) {
      for (const each of batch) commit([each]);
      return;
    }
    error = thrown;
  }
  const reply: KeptWriterReply = { numbers: batch.map(({ number }) => number), error };
  port?.postMessage(reply, []);
}
