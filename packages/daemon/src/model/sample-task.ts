import type { AsyncTask } from './async-task.ts';

/** A task of function `f` that has ended well, for tests. */
export function sampleTask(changes: Partial<AsyncTask> = {}): AsyncTask {
  return {
    seq: 1,
    functionName: 'f',
    taskId: 't',
    qualifier: 'LATEST',
    requestId: 'r',
    trigger: 'api',
    status: 'Succeeded',
    enqueuedAt: 0,
    dueAt: 0,
    tries: 0,
    deferrals: 0,
    instanceId: '',
    versionId: '',
    events: [],
    payload: { size: 0 },
    destinationStatus: '',
    ...changes,
  };
}
