import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { missingNpmIndex, missingSandbox } from './fixtures/requirements.ts';
import { installedPackages } from './outside/npm-package.ts';
import { missingOutside, openOutside } from './outside/outside.ts';
import { API, createFunction, invoke } from './support/functions.ts';
import { jsonOf, send } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const PACKAGES = {
  '@opentelemetry/api': '1.9.0',
  '@opentelemetry/sdk-trace-base': '2.1.0',
  '@opentelemetry/exporter-trace-otlp-http': '0.205.0',
};
const INVOCATIONS = 20;
/** Longer than an instance lives here: a span that waits for the batch's timer is asleep before it goes. */
const BATCH_DELAY_MS = 30_000;

const SOURCE = `
  const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
  const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
  const exporter = new OTLPTraceExporter({ url: process.env.COLLECTOR + '/v1/traces' });
  const processor = new BatchSpanProcessor(exporter, { scheduledDelayMillis: ${BATCH_DELAY_MS} });
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('test');
  exports.handler = async () => {
    const span = tracer.startSpan('work');
    span.end();
    return span.spanContext().spanId;
  };
  exports.preFreeze = () => processor.forceFlush();`;

test('spans that a batch exporter holds back reach the collector with PreFreeze, and some do not without', async (t) => {
  const platform = await startPlatform(t);
  const missing = (await missingOutside()) ?? (await missingSandbox(platform)) ?? (await missingNpmIndex());
  if (missing !== undefined) {
    t.skip(missing);
    return;
  }
  const [packages, collector] = await Promise.all([installedPackages(t, PACKAGES), startCollector(t)]);
  const deploy = (name: string, lifecycle: Readonly<Record<string, unknown>>): Promise<string> =>
    createFunction(platform, name, {
      code: { ...packages, 'index.js': SOURCE },
      fields: {
        memorySize: 256,
        environmentVariables: { COLLECTOR: collector, THAW_FREEZE_AFTER_MS: '0' },
        instanceLifecycleConfig: lifecycle,
      },
    });
  const flushing = await deploy('flushing', { preFreeze: { handler: 'index.preFreeze', timeout: 10 } });
  const forgetful = await deploy('forgetful', {});

  const [flushed, held] = [await workAndDie(platform, flushing), await workAndDie(platform, forgetful)];
  const collected = jsonOf<string[]>(await send(collector, { path: '/spans' }));
  assert.deepEqual(
    flushed.filter((span) => !collected.includes(span)),
    [],
    'with PreFreeze no span is lost',
  );
  assert.equal(new Set(collected).size, collected.length, 'no span comes twice');
  const lost = held.filter((span) => !collected.includes(span));
  assert.ok(lost.length > 0, 'without it some are');
});

async function startCollector(t: TestContext): Promise<string> {
  const outside = await openOutside(t);
  const program = outside.start(process.execPath, [join(import.meta.dirname, 'outside/collector.mjs')]);
  const [, port] = await program.line(/^port (\d+)$/u);
  return `http://${outside.address}:${port}`;
}

/** Calls the function, lets its instance freeze after each call, and deletes it at last. Gives the ids of all its spans. */
async function workAndDie(platform: Platform, name: string): Promise<string[]> {
  const spans: string[] = [];
  const instances = new Set<unknown>();
  for (let call = 0; call < INVOCATIONS; call += 1) {
    const answer = await invoke(platform, name);
    assert.match(answer.body.toString(), /^[0-9a-f]{16}$/u);
    spans.push(answer.body.toString());
    instances.add(answer.headers['x-fc-instance-id']);
    await untilInstances(platform, name, 1, 'frozen');
  }
  assert.equal(instances.size, 1);
  const deleted = await signedCall(platform, { method: 'DELETE', path: `${API}/functions/${name}` });
  assert.equal(deleted.status, 204, deleted.body.toString());
  await untilInstances(platform, name, 0);
  return spans;
}

function untilInstances(platform: Platform, name: string, count: number, state?: string): Promise<boolean> {
  return waitFor(`${count} instances of ${name} ${state ?? ''}`, async () => {
    const labels = { function: name, ...(state === undefined ? {} : { state }) };
    return metric(await readMetrics(platform), 'thaw_instances', labels) === count;
  });
}
