import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import type { WriterData, WriterMessage, WriterReport } from './threaded-invocations.ts';
import { SqliteInvocations } from './sqlite-invocations.ts';

/** The thread behind `ThreadedInvocations`: does one message after the other and counts those that are done. */
assert(parentPort !== null, 'this program is started as a thread');
const port = parentPort;
const { directory, options, done }: WriterData = workerData;
let log: SqliteInvocations | undefined;

port.on('message', (message: WriterMessage) => {
  try {
    // Opened where its failure is one message's: a thread that did not start would leave readers waiting.
    log ??= new SqliteInvocations(directory, options);
    if (message.kind === 'append') log.append(JSON.parse(message.records));
    else if (message.kind === 'amend') log.amend(message.requestId, message.timeline);
    else log.close();
  } catch (error) {
    const report: WriterReport = { doing: message.kind, error };
    port.postMessage(report, []);
  }
  Atomics.add(done, 0, 1);
  Atomics.notify(done, 0);
  if (message.kind === 'close') port.close();
});
