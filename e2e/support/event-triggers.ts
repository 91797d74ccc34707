import assert from 'node:assert/strict';
import type { Platform } from '@thaw/testkit/platform.ts';
import { API } from './functions.ts';
import { jsonOf } from './http-call.ts';
import { signedCall } from './signed-call.ts';

export async function createEventTrigger(
  platform: Platform,
  functionName: string,
  trigger: { readonly triggerName: string; readonly triggerType: string; readonly config: object },
): Promise<void> {
  const { triggerName, triggerType, config } = trigger;
  const answer = await signedCall(platform, {
    method: 'POST',
    path: `${API}/functions/${functionName}/triggers`,
    body: JSON.stringify({ triggerName, triggerType, triggerConfig: JSON.stringify(config) }),
  });
  assert.equal(answer.status, 200, answer.body.toString());
}

export async function deleteTrigger(
  platform: Platform,
  functionName: string,
  triggerName: string,
): Promise<void> {
  const path = `${API}/functions/${functionName}/triggers/${triggerName}`;
  const answer = await signedCall(platform, { method: 'DELETE', path });
  assert.ok(answer.status < 300, answer.body.toString());
}

export interface TriggerStatusAnswer {
  readonly status: string;
  readonly problem?: { readonly code: string; readonly message: string };
  readonly delivered: number;
}

export async function triggerStatus(
  platform: Platform,
  functionName: string,
  triggerName: string,
): Promise<TriggerStatusAnswer> {
  const path = `/thaw/v1/functions/${functionName}/triggers/${triggerName}`;
  const answer = await signedCall(platform, { method: 'GET', path });
  assert.equal(answer.status, 200, answer.body.toString());
  return jsonOf(answer);
}
