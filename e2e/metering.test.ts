import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { API, createFunction, invoke } from './support/functions.ts';
import { jsonOf } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** From the first of two overlapping requests to the end of the second, and then the hook: a second of work in all. */
const REQUESTS_MS = 700;
const PRE_FREEZE_MS = 300;
const PRE_STOP_MS = 200;

/** Both requests begin before either ends; every time is measured inside, so what is billed is never less. */
const SOURCE = `
  const { performance } = require('node:perf_hooks');
  let startedMs;
  let arrived = 0;
  const both = Promise.withResolvers();
  const work = (ms) => { const end = performance.now() + ms; while (performance.now() < end); };
  exports.handler = async (event) => {
    if (event.toString() === 'warm') return '';
    startedMs ??= performance.now();
    arrived += 1;
    if (arrived === 2) both.resolve();
    await both.promise;
    work(Number(event) - (performance.now() - startedMs));
    return '';
  };
  exports.preFreeze = async () => { if (startedMs !== undefined) work(${PRE_FREEZE_MS}); };
  exports.preStop = async () => work(${PRE_STOP_MS});`;

interface Figures {
  readonly requests: number;
  readonly billedMs: number;
  readonly cu: number;
}

test('overlapping requests are billed once and hooks with them: a second on 1 GB is 1 CU', async (t) => {
  const platform = await startPlatform(t);
  const name = await createFunction(platform, 'metered', {
    code: SOURCE,
    fields: {
      memorySize: 1024,
      instanceConcurrency: 2,
      environmentVariables: { THAW_FREEZE_AFTER_MS: '0' },
      instanceLifecycleConfig: {
        preFreeze: { handler: 'index.preFreeze', timeout: 10 },
        preStop: { handler: 'index.preStop', timeout: 10 },
      },
    },
  });
  // The start is behind, so that the time that passes here is hardly more than what is billed.
  await invoke(platform, name, 'warm');
  await untilInstances(platform, name, 1, 'frozen');
  const before = await usageOf(platform, name);

  const startMs = performance.now();
  const answers = await Promise.all([
    invoke(platform, name, String(REQUESTS_MS / 2)),
    invoke(platform, name, String(REQUESTS_MS)),
  ]);
  await untilInstances(platform, name, 1, 'frozen');
  const passedMs = performance.now() - startMs;
  assert.equal(new Set(answers.map(({ headers }) => headers['x-fc-instance-id'])).size, 1);
  const after = await usageOf(platform, name);
  const used = difference(after, before);
  assert.equal(used.requests, 2);
  assert.ok(used.billedMs >= REQUESTS_MS + PRE_FREEZE_MS, `${used.billedMs} ms are all of the work`);
  assert.ok(used.billedMs <= passedMs, `${used.billedMs} ms are no more than the ${passedMs} ms that passed`);
  assert.ok(Math.abs(used.cu - used.billedMs / 1000) < 1e-6, `${used.cu} CU for ${used.billedMs} ms`);

  const deleted = await signedCall(platform, { method: 'DELETE', path: `${API}/functions/${name}` });
  assert.equal(deleted.status, 204, deleted.body.toString());
  await untilInstances(platform, name, 0);
  const stopped = difference(await usageOf(platform, name), after);
  assert.equal(stopped.requests, 0);
  assert.ok(stopped.billedMs >= PRE_STOP_MS, `${stopped.billedMs} ms are all of the hook before the stop`);
});

async function usageOf(platform: Platform, name: string): Promise<Figures> {
  const query = `functionName=${name}`;
  const answer = await signedCall(platform, { method: 'GET', path: '/thaw/v1/usage', query });
  assert.equal(answer.status, 200, answer.body.toString());
  return jsonOf<{ total: Figures }>(answer).total;
}

function difference(after: Figures, before: Figures): Figures {
  return {
    requests: after.requests - before.requests,
    billedMs: after.billedMs - before.billedMs,
    cu: after.cu - before.cu,
  };
}

function untilInstances(platform: Platform, name: string, count: number, state?: string): Promise<boolean> {
  return waitFor(`${count} instances of ${name} ${state ?? ''}`, async () => {
    const labels = { function: name, ...(state === undefined ? {} : { state }) };
    return metric(await readMetrics(platform), 'thaw_instances', labels) === count;
  });
}
