import assert from 'node:assert/strict';
import type { Agent } from 'node:http';
import type { Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { API } from './functions.ts';
import { jsonOf, send, type Answer } from './http-call.ts';
import { sign, signedCall } from './signed-call.ts';

/** A task as the API shows it. */
export interface TaskBody {
  readonly taskId: string;
  readonly requestId: string;
  readonly status: string;
  readonly qualifier: string;
  readonly alreadyRetriedTimes: number;
  readonly taskErrorMessage: string;
  readonly taskPayload?: string;
  readonly returnPayload?: string;
  readonly events: readonly { readonly status: string; readonly eventDetail: string }[];
}

export interface AsyncCall {
  readonly taskId?: string;
  readonly qualifier?: string;
  readonly body?: Buffer | string;
  readonly agent?: Agent;
}

/** InvokeFunction, to be run later. */
export function invokeLater(
  platform: Pick<Platform, 'url' | 'endpoint' | 'credentials'>,
  functionName: string,
  { taskId, qualifier, body = '', agent }: AsyncCall = {},
): Promise<Answer> {
  const parts = sign(platform, {
    method: 'POST',
    path: `${API}/functions/${functionName}/invocations`,
    body,
    headers: {
      'content-type': 'application/octet-stream',
      'x-fc-invocation-type': 'Async',
      ...(taskId === undefined ? {} : { 'x-fc-async-task-id': taskId }),
    },
    ...(qualifier === undefined ? {} : { query: `qualifier=${qualifier}` }),
  });
  return send(platform.url, agent === undefined ? parts : { ...parts, agent });
}

/** The same, accepted; gives the task's id. */
export async function submit(
  platform: Platform,
  functionName: string,
  call: AsyncCall = {},
): Promise<string> {
  const answer = await invokeLater(platform, functionName, call);
  assert.equal(answer.status, 202, answer.body.toString());
  assert.equal(answer.body.length, 0);
  return String(answer.headers['x-fc-async-task-id']);
}

export async function getTask(platform: Platform, functionName: string, taskId: string): Promise<TaskBody> {
  const answer = await signedCall(platform, {
    method: 'GET',
    path: `${API}/functions/${functionName}/async-tasks/${taskId}`,
  });
  assert.equal(answer.status, 200, answer.body.toString());
  return jsonOf(answer);
}

/** Waits until the task is in this state. */
export async function taskIn(
  platform: Platform,
  status: string,
  functionName: string,
  taskId: string,
): Promise<TaskBody> {
  return waitFor(
    `task ${taskId} to be ${status}`,
    async () => {
      const task = await getTask(platform, functionName, taskId);
      return task.status === status ? task : undefined;
    },
    60_000,
  );
}

/** Every task that the query finds, page by page. */
export async function listTasks(
  platform: Platform,
  functionName: string,
  query: Readonly<Record<string, string>> = {},
): Promise<TaskBody[]> {
  const tasks: TaskBody[] = [];
  let nextToken: string | undefined;
  do {
    const asked = new URLSearchParams({
      limit: '100',
      ...query,
      ...(nextToken === undefined ? {} : { nextToken }),
    });
    asked.sort();
    const answer = await signedCall(platform, {
      method: 'GET',
      path: `${API}/functions/${functionName}/async-tasks`,
      query: asked.toString(),
    });
    assert.equal(answer.status, 200, answer.body.toString());
    const page = jsonOf<{ tasks: TaskBody[]; nextToken?: string }>(answer);
    tasks.push(...page.tasks);
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return tasks;
}
