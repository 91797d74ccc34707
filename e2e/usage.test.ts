import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { createFunction, invoke } from './support/functions.ts';
import { jsonOf, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** Waits as long as its event says. */
const SLEEP = `exports.handler = async (event) => {
  await new Promise((resolve) => setTimeout(resolve, Number(event.toString())));
  return process.env.FC_INSTANCE_ID;
};`;

interface Figures {
  readonly requests: number;
  readonly billedMs: number;
  readonly cu: number;
}

interface Usage {
  readonly from: string;
  readonly to: string;
  readonly usage: readonly (Figures & { day: string; functionName: string; instanceId?: string })[];
  readonly total: Figures;
}

function ask(platform: Platform, query: string): Promise<Answer> {
  return signedCall(platform, { method: 'GET', path: '/thaw/v1/usage', query });
}

async function usageOf(platform: Platform, query = ''): Promise<Usage> {
  const answer = await ask(platform, query);
  assert.equal(answer.status, 200, answer.body.toString());
  return jsonOf<Usage>(answer);
}

const sum = (rows: readonly Figures[], figure: keyof Figures): number =>
  rows.reduce((total, row) => total + row[figure], 0);

test('1 GB for at least 1 second is 1 CU and little more, however many requests overlap in it', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'sleeper', {
    code: SLEEP,
    fields: { memorySize: 1024, instanceConcurrency: 10 },
  });
  await invoke(platform, 'sleeper', '0');
  const before = (await usageOf(platform, 'functionName=sleeper')).total;
  assert.equal(before.requests, 1);
  const sentMs = performance.now();
  const answers = await Promise.all(
    ['1000', '1000', '600', '300'].map((ms) => invoke(platform, 'sleeper', ms)),
  );
  const elapsedMs = performance.now() - sentMs;
  assert.equal(new Set(answers.map(({ body }) => body.toString())).size, 1);
  const { total } = await usageOf(platform, 'functionName=sleeper');
  const billedMs = total.billedMs - before.billedMs;
  assert.equal(total.requests, 5);
  // Four requests of 2.9 seconds in all are billed no longer than from the first one's start to the last one's end.
  assert.ok(billedMs >= 999 && billedMs <= elapsedMs, `${billedMs} ms of ${elapsedMs} ms`);
  assert.ok(Math.abs(total.cu - total.billedMs / 1000) < 1e-9, '1 GB: a CU for each second');
});

test('instances add up to days and days to the total; PreFreeze is billed; other functions are apart', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'plain', { code: SLEEP, fields: { memorySize: 256 } });
  await createFunction(platform, 'hooked', {
    code: `${SLEEP}
exports.preFreeze = async () => { await new Promise((resolve) => setTimeout(resolve, 400)); };`,
    fields: {
      memorySize: 512,
      instanceLifecycleConfig: { preFreeze: { handler: 'index.preFreeze', timeout: 5 } },
    },
  });
  await Promise.all(['50', '60', '70'].map((ms) => invoke(platform, 'plain', ms)));
  await invoke(platform, 'hooked', '10');
  const hooked = await waitFor('the hook to be billed', async () => {
    const { total } = await usageOf(platform, 'functionName=hooked');
    return total.billedMs >= 400 && total;
  });
  assert.equal(hooked.requests, 1);

  const days = await usageOf(platform);
  const instances = await usageOf(platform, 'by=instance');
  for (const figure of ['requests', 'billedMs', 'cu'] as const) {
    for (const { usage, total } of [days, instances]) {
      assert.ok(Math.abs(sum(usage, figure) - total[figure]) < 1e-6, figure);
    }
  }
  assert.deepEqual(new Set(days.usage.map(({ functionName }) => functionName)), new Set(['hooked', 'plain']));
  const plain = instances.usage.filter(({ functionName }) => functionName === 'plain');
  assert.equal(new Set(plain.map(({ instanceId }) => instanceId)).size, plain.length);
  assert.equal(sum(plain, 'requests'), 3);
  assert.ok(Math.abs(sum(plain, 'cu') - sum(plain, 'billedMs') / 4000) < 1e-9, 'a quarter of a GB');

  const table = (await platform.thaw(['usage', 'plain'])).stdout.toString();
  assert.match(table, /^DAY +FUNCTION +REQUESTS +TIME +CU\n\d{4}-\d\d-\d\d +plain +3 .*\ntotal +3 /);
  const json: Usage = JSON.parse((await platform.thaw(['usage', '--instances', '--json'])).stdout.toString());
  assert.equal(json.total.requests, days.total.requests);
  assert.match((await platform.thaw(['usage', 'nobody'])).stdout.toString(), /^Nothing ran from /);
});

test('what runs for long is billed while it runs', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'long', { code: SLEEP });
  const running = invoke(platform, 'long', '3000');
  const first = await waitFor('the first part of the bill', async () => {
    const { total } = await usageOf(platform);
    return total.billedMs > 0 && total;
  });
  assert.equal(first.requests, 1);
  const next = await usageOf(platform);
  assert.ok(next.total.billedMs > first.billedMs);
  assert.equal((await running).status, 200);
  const { total } = await usageOf(platform);
  assert.equal(total.requests, 1);
  assert.ok(total.billedMs >= 2_999, `${total.billedMs} ms`);
});

test('usage survives kill -9, and a question that makes no sense is refused', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'kept', { code: SLEEP });
  await invoke(platform, 'kept', '20');
  const { total, to } = await usageOf(platform);
  assert.equal(total.requests, 1);
  await platform.kill();
  const again = await startPlatform(t, { dataDir: platform.dataDir });
  assert.deepEqual((await usageOf(again)).total, total);
  assert.deepEqual((await usageOf(again, `from=2020-01-01&to=2020-01-31`)).total, {
    requests: 0,
    billedMs: 0,
    cu: 0,
  });
  assert.equal((await usageOf(again, `from=${to}&to=${to}`)).usage.length, 1);
  for (const query of ['from=yesterday', 'to=2026-02-30', 'from=2026-03-02&to=2026-03-01', 'by=hour']) {
    assert.equal((await ask(again, query)).status, 400, query);
  }
  const refused = await again.thaw(['usage', '--from', 'soon']);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /from must be a day like/);
});
