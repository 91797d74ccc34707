import { setTimeout as delay } from 'node:timers/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { type Client, nativePath } from './client.ts';
import type { InvocationAnswer } from './wire.ts';

/** The platform writes records in batches after the answer has left, so the newest one may not be there yet. */
const RECORD_WAIT_MS_MAX = 1500;
const POLL_MS = 100;

/** The record of an invocation. Throws INVOCATION_NOT_FOUND when there is none, nor comes one in a moment. */
export async function requireInvocation(
  client: Client,
  requestId: string,
  signal: AbortSignal,
): Promise<InvocationAnswer> {
  const end = performance.now() + RECORD_WAIT_MS_MAX;
  for (;;) {
    try {
      return await client.json<InvocationAnswer>({
        method: 'GET',
        path: nativePath('invocations', requestId),
      });
    } catch (error) {
      const isMissing = error instanceof ThawError && error.code === 'INVOCATION_NOT_FOUND';
      if (!isMissing || performance.now() > end) throw error;
    }
    await delay(POLL_MS, undefined, { signal });
  }
}
