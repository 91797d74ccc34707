import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { Agent } from 'node:http';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { processesOf } from './fixtures/host-traces.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { createFunction } from './support/functions.ts';
import { send, type Answer } from './support/http-call.ts';
import { sign } from './support/signed-call.ts';

const INVOCATIONS = 10_000;
/**
 * By then heaps have grown to their working size and everything that is cached is. The last step of the gateway's young
 * generation comes after some 9,000: the less garbage a call makes, the later.
 */
const WARM_AFTER = 12_000;
const CALLS = WARM_AFTER + INVOCATIONS;
/** Invocations that kept 4 KiB each would take more. */
const GROWTH_BYTES_MAX = 32 * 1024 * 1024;
/** Logs and databases open files now and then; connections that are not closed would be thousands. */
const DESCRIPTORS_GROWTH_MAX = 16;

test(`${INVOCATIONS} warm invocations leave memory flat`, async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'echo', { code: 'exports.handler = async (event) => event;' });
  // One connection, as a client that keeps its own: it is closed before the platform is.
  using agent = disposable(new Agent({ keepAlive: true, maxSockets: 1 }));

  const first = await call(platform, agent.value, 0);
  const instanceId = String(first.headers['x-fc-instance-id']);
  const watched = [platform.pid, ...(await processesOf(instanceId))];
  assert.ok(watched.length > 1, 'the instance is among the processes of this machine');

  let warm: readonly Usage[] = [];
  for (let count = 1; count < CALLS; count++) {
    if (count === WARM_AFTER) warm = await Promise.all(watched.map(usageOf));
    const answer = await call(platform, agent.value, count);
    assert.equal(answer.headers['x-fc-instance-id'], instanceId, 'one instance serves them all');
  }
  const end = await Promise.all(watched.map(usageOf));
  for (const [at, { rssBytes, descriptors }] of end.entries()) {
    const before = warm[at];
    assert.ok(before !== undefined);
    const grown = rssBytes - before.rssBytes;
    t.diagnostic(
      `process ${at}: ${mib(before.rssBytes)} MiB, then ${mib(rssBytes)} MiB, ${descriptors} files`,
    );
    assert.ok(grown < GROWTH_BYTES_MAX, `process ${at} has grown by ${mib(grown)} MiB`);
    assert.ok(
      descriptors - before.descriptors <= DESCRIPTORS_GROWTH_MAX,
      `process ${at} has ${descriptors} files open`,
    );
  }

  const counted = { function: 'echo', outcome: 'success' };
  assert.equal(metric(await readMetrics(platform), 'thaw_invocations_total', counted), CALLS);
  assert.equal(metric(await readMetrics(platform), 'thaw_cold_starts_total', { function: 'echo' }), 1);
  await waitFor('the record of each', async () => (await countRecords(platform)) === CALLS);
});

async function call(platform: Platform, agent: Agent, count: number): Promise<Answer> {
  const body = `event ${count}`;
  const parts = sign(platform, { method: 'POST', path: '/2023-03-30/functions/echo/invocations', body });
  const answer = await send(platform.url, { ...parts, agent });
  assert.deepEqual([answer.status, answer.body.toString()], [200, body]);
  return answer;
}

interface Usage {
  readonly rssBytes: number;
  readonly descriptors: number;
}

async function usageOf(pid: number): Promise<Usage> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const rssKib = Number(/^VmRSS:\s+(\d+) kB$/mu.exec(status)?.[1] ?? 0);
  return { rssBytes: rssKib * 1024, descriptors: (await readdir(`/proc/${pid}/fd`)).length };
}

/** Page by page, as a client reads a long list. */
async function countRecords(platform: Platform): Promise<number> {
  let count = 0;
  let before: string | undefined;
  do {
    const query = `limit=100${before === undefined ? '' : `&before=${encodeURIComponent(before)}`}`;
    const answer = await send(
      platform.url,
      sign(platform, { method: 'GET', path: '/thaw/v1/invocations', query }),
    );
    assert.equal(answer.status, 200, answer.body.toString());
    const page: { invocations: readonly unknown[]; nextToken?: string } = JSON.parse(answer.body.toString());
    count += page.invocations.length;
    before = page.nextToken;
  } while (before !== undefined);
  return count;
}

function disposable(value: Agent): Disposable & { readonly value: Agent } {
  return { value, [Symbol.dispose]: () => value.destroy() };
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
