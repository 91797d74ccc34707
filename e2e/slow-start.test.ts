import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { recordsOf } from './fixtures/records.ts';
import { createFunction, invoke } from './support/functions.ts';

/** The document's scenario: five seconds of preparation, two seconds of work. */
const WITH_INITIALIZER = `
import time
def initializer(context):
    time.sleep(5)
def handler(event, context):
    time.sleep(2)
    return ''
`;
const WITHOUT_INITIALIZER = `
import time
time.sleep(5)
def handler(event, context):
    time.sleep(2)
    return ''
`;
/**
 * Later than this, an instance started for the second call is still preparing when the first one is free, also where the
 * first one's runtime had to boot and the second one's waits in a stem.
 */
const SECOND_CALL_AFTER_MS = 4000;
/** A clock of its own measures the phases; what is asserted is far from what the neighbours take. */
const PREPARED_MS_MIN = 4000;

interface Outcome {
  readonly instances: number;
  readonly coldStarts: number;
  /** Milliseconds by call, in their order: in the queue, and in the phase that prepares. */
  readonly queued: readonly number[];
  readonly prepared: readonly (number | undefined)[];
}

async function threeCalls(platform: Platform, name: string, phase: 'initializer' | 'load'): Promise<Outcome> {
  const begunAt = performance.now();
  const first = invoke(platform, name);
  await waitFor('the first to be ahead', () => performance.now() - begunAt > SECOND_CALL_AFTER_MS);
  const second = invoke(platform, name);
  const answers = await Promise.all([first, second]);
  answers.push(await invoke(platform, name));
  for (const answer of answers)
    assert.equal(answer.headers['x-fc-error-type'], undefined, String(answer.body));
  const records = (await recordsOf(platform, name, 3)).toReversed();
  return {
    instances: new Set(records.slice(0, 2).map(({ instanceId }) => instanceId)).size,
    coldStarts: records.filter(({ coldStart }) => coldStart).length,
    queued: records.map(({ timeline }) => timeline['queued'] ?? 0),
    prepared: records.map(({ timeline }) => timeline[phase]),
  };
}

function check({ instances, coldStarts, queued, prepared }: Outcome): void {
  // The second call was there before any instance was ready, and waited for whichever came first: the first one's.
  assert.equal(coldStarts, 1);
  assert.equal(instances, 1);
  const [first = 0, second = 0, third = 0] = queued;
  assert.ok(first > PREPARED_MS_MIN, `the first call waited ${first} ms for its instance`);
  assert.ok(second > 2000 && second < first + 2000, `the second call waited ${second} ms`);
  assert.ok(third < 1000, `the third call waited ${third} ms`);
  assert.ok((prepared[0] ?? 0) > PREPARED_MS_MIN, `the preparation took ${prepared[0]} ms`);
  assert.deepEqual(prepared.slice(1), [undefined, undefined]);
}

test('two concurrent calls to a slow function make one cold start, and the third waits for nothing', async (t) => {
  const platform = await startPlatform(t);
  const slow = await createFunction(platform, 'slow', {
    language: 'python',
    code: WITH_INITIALIZER,
    fields: {
      timeout: 10,
      instanceLifecycleConfig: { initializer: { handler: 'index.initializer', timeout: 30 } },
    },
  });
  // The module's own code is awaited before the instance counts as ready, so it is no worse than an initializer here.
  const slowToLoad = await createFunction(platform, 'slow-to-load', {
    language: 'python',
    code: WITHOUT_INITIALIZER,
    fields: { timeout: 10 },
  });
  const [prepared, loaded] = await Promise.all([
    threeCalls(platform, slow, 'initializer'),
    threeCalls(platform, slowToLoad, 'load'),
  ]);
  check(prepared);
  check(loaded);
});
