import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath, nativePath, type Client } from '../api/client.ts';

/** How FC tells of an asynchronous task, as far as a map wants to know. */
export interface TaskAnswer {
  readonly status: string;
  readonly durationMs?: number;
  readonly alreadyRetriedTimes?: number;
  readonly taskErrorMessage?: string;
}

const ENDED = new Set(['Succeeded', 'Failed', 'Stopped', 'Expired', 'Invalid']);

/** What a map asks of the platform. */
export class MapTasks {
  readonly #client: Client;
  readonly #functionName: string;
  readonly #qualifier: string | undefined;

  constructor(client: Client, functionName: string, qualifier: string | undefined) {
    this.#client = client;
    this.#functionName = functionName;
    this.#qualifier = qualifier;
  }

  /** On disk when it resolves; a task id that the platform has already runs no second time. */
  async submit(taskId: string, body: Buffer): Promise<void> {
    await this.#client.send({
      method: 'POST',
      path: apiPath('functions', this.#functionName, 'invocations'),
      query: { qualifier: this.#qualifier },
      headers: {
        'content-type': 'application/octet-stream',
        'x-fc-invocation-type': 'Async',
        'x-fc-async-task-id': taskId,
      },
      body,
    });
  }

  /** Undefined while it has not ended. */
  async outcome(taskId: string): Promise<TaskAnswer | undefined> {
    const task = await this.#client.json<TaskAnswer>({
      method: 'GET',
      path: apiPath('functions', this.#functionName, 'async-tasks', taskId),
    });
    return ENDED.has(task.status) ? task : undefined;
  }

  /** Writes the task's result to `file`, which is there whole or not at all. */
  async fetchResult(taskId: string, file: string): Promise<void> {
    const beside = `${file}.part`;
    try {
      const response = await this.#client.open({
        method: 'GET',
        path: nativePath('functions', this.#functionName, 'tasks', taskId, 'result'),
      });
      await pipeline(response, createWriteStream(beside));
      await rename(beside, file);
    } catch (cause) {
      await rm(beside, { force: true });
      throw ThawError.from(cause, `fetching the result of task ${taskId} into ${file}`);
    }
  }
}
