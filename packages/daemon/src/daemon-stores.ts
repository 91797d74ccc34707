import { join } from 'node:path';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from './base/clock.ts';
import type { DeadlineWheel } from './base/deadline-wheel.ts';
import type { PlatformLog } from './base/platform-log.ts';
import { CodeStore } from './code/code-store.ts';
import { InvocationRecorder } from './invocation/invocation-recorder.ts';
import { FileBlobs } from './store/file-blobs.ts';
import { SqliteObjects } from './store/sqlite/objects/sqlite-objects.ts';
import { SqliteKnownFiles } from './store/sqlite/sqlite-known-files.ts';
import { SqliteQueue } from './store/sqlite/sqlite-queue.ts';
import { SqliteRecords } from './store/sqlite/sqlite-records.ts';
import { SqliteUsage } from './store/sqlite/sqlite-usage.ts';
import { ThreadedInvocations } from './store/sqlite/threaded-invocations.ts';
import { ThreadedKeptCalls } from './store/sqlite/threaded-kept-calls.ts';
import { ThreadedMessageQueues } from './store/sqlite/threaded-message-queues.ts';
import { UsageRecorder } from './store/usage-recorder.ts';
import { LogStore } from './telemetry/log-store/log-store.ts';

export interface DaemonStoresOptions {
  /** The data directory. */
  readonly path: string;
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly log: PlatformLog;
  /** An invocation found no room in the history. */
  readonly onUnrecorded: () => void;
}

export interface DaemonStores {
  readonly records: SqliteRecords;
  readonly blobs: FileBlobs;
  readonly codeStore: CodeStore;
  readonly logs: LogStore;
  readonly recorder: InvocationRecorder;
  readonly calls: ThreadedKeptCalls;
  readonly queue: SqliteQueue;
  readonly knownFiles: SqliteKnownFiles;
  readonly queues: ThreadedMessageQueues;
  readonly outbox: ThreadedMessageQueues;
  readonly objects: SqliteObjects;
  readonly usageLog: SqliteUsage;
  readonly usage: UsageRecorder;
}

/** Opens all that the platform keeps in its data directory; `open` closes it. */
export async function openDaemonStores(
  open: AsyncDisposableStack,
  { path, clock, wheel, log, onUnrecorded }: DaemonStoresOptions,
): Promise<DaemonStores> {
  const records = open.adopt(new SqliteRecords(path), (opened) => opened.close());
  const blobs = new FileBlobs(join(path, 'blobs'));
  const codeStore = await CodeStore.open({ dataDirectory: path, blobs, clock });
  const logs = open.adopt(
    new LogStore({
      directory: join(path, 'logs'),
      clock,
      onFailure: (error) => log('error', 'log lines could not be written', error),
    }),
    (opened) => opened.close(),
  );
  const history = open.adopt(
    new ThreadedInvocations(path, {
      onFailure: (error) => log('error', 'the history of invocations is incomplete', error),
    }),
    (opened) => opened.close(),
  );
  const recorder = open.adopt(
    new InvocationRecorder({ log: history, clock, wheel, report: log, onSkipped: onUnrecorded }),
    (pending) => pending.flush(),
  );
  const calls = open.adopt(new ThreadedKeptCalls(path, clock), (opened) => opened.close());
  const queue = open.adopt(
    await SqliteQueue.open(path, clock.now(), {
      onLost: (error) => log('error', 'asynchronous invocations are refused until the next start', error),
    }),
    (opened) => opened.close(),
  );
  const knownFiles = open.adopt(new SqliteKnownFiles(path), (opened) => opened.close());
  const openQueues = async (file: string): Promise<ThreadedMessageQueues> => {
    const onLost = (error: ThawError): void => log('error', `${file} is closed until the next start`, error);
    return open.adopt(await ThreadedMessageQueues.open(path, file, clock, onLost), (opened) =>
      opened.close(),
    );
  };
  const queues = await openQueues('messages.db');
  const outbox = await openQueues('events.db');
  const objects = open.adopt(new SqliteObjects(join(path, 'objects'), clock), (opened) => opened.close());
  const usageLog = open.adopt(new SqliteUsage(path), (opened) => opened.close());
  const usage = open.adopt(new UsageRecorder(usageLog, wheel, log), (pending) => pending.flush());
  return {
    records,
    blobs,
    codeStore,
    logs,
    recorder,
    calls,
    queue,
    knownFiles,
    queues,
    outbox,
    objects,
    usageLog,
    usage,
  };
}
