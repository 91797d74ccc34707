import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { COLLECTOR_FUNCTION, type ChangeCollector } from './change-collector.ts';
import { createFunction } from './functions.ts';

/** Two thousand changes and several starts of the platform take their time on a slow machine. */
export const WAIT_MS_MAX = 180_000;

export const KEYS = 20;
const CHANGES = 2_000;
/** The platform is killed when so many changes have come. */
const KILLS_AT = [300, 1_200];

/** So many changes are written before those that were written have come. */
const AHEAD = 500;

/** Where the changes of one kind of database come from. */
export interface Writer {
  /** One row's next change. */
  write(key: number, number: number): Promise<void> | void;
}

/** Writes all changes while the platform is killed and started again, and counts what came. */
export async function loseNothing(
  collector: ChangeCollector,
  writer: Writer,
  platform: Platform,
  restart: () => Promise<Platform>,
): Promise<Platform> {
  let running = platform;
  let written = 0;
  const writing = (async () => {
    for (; written < CHANGES; written += 1) {
      if (written % KEYS === 0) {
        await waitFor(
          'what was written to come',
          () => collector.distinct().length > written - AHEAD,
          WAIT_MS_MAX,
        );
      }
      await writer.write(written % KEYS, Math.floor(written / KEYS));
    }
  })();
  for (const number of KILLS_AT) {
    await waitFor(`${number} changes`, () => collector.distinct().length >= number, WAIT_MS_MAX);
    await running.kill();
    running = await restart();
  }
  await writing;
  await waitFor('every change', () => collector.distinct().length >= CHANGES, WAIT_MS_MAX);
  const seen = collector.distinct();
  assert.equal(seen.length, CHANGES, 'no change has two ids');
  for (let key = 0; key < KEYS; key += 1) {
    const numbers = seen.filter((change) => change.key?.['id'] === key).map(({ after }) => after?.['number']);
    assert.deepEqual(
      numbers,
      Array.from({ length: CHANGES / KEYS }, (_, index) => index),
      `row ${key}`,
    );
  }
  for (const event of collector.events) {
    for (const key of new Set(event.map((change) => change.key?.['id']))) {
      const numbers = event
        .filter((change) => change.key?.['id'] === key)
        .map(({ after }) => Number(after?.['number']));
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
    }
  }
  return running;
}

/** Without a sandbox, so that the function reaches the collector on the loopback whoever runs the tests. */
export function startForCollector(
  t: TestContext,
  dataDir: string,
  watchDirectory?: string,
): Promise<Platform> {
  return startPlatform(t, {
    dataDir,
    isolation: 'process',
    ...(watchDirectory === undefined ? {} : { arguments: ['--watch-dir', watchDirectory] }),
  });
}

export async function createCollecting(platform: Platform, collector: ChangeCollector): Promise<void> {
  await createFunction(platform, 'collect', {
    code: COLLECTOR_FUNCTION,
    fields: { environmentVariables: { COLLECTOR: collector.url } },
  });
}
