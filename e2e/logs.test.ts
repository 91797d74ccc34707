import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { recordsOf } from './fixtures/records.ts';
import { startThaw } from './fixtures/running-command.ts';
import { createFunction, invoke, type Language } from './support/functions.ts';
import { send } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const MANY_LINES = 5000;
/** More than a function's log may hold on disk. */
const FLOOD_BYTES = 80 * 1024 * 1024;
const FLOOD_BYTES_PER_CALL = 2 * 1024 * 1024;
/** Eight segments of 8 MiB, and one that is being begun. */
const LOG_BYTES_MAX = 72 * 1024 * 1024;
/** Server-Timing has one decimal fewer than the record. */
const ROUNDING_MS = 0.06;

const TALKERS: Readonly<Record<Language, string>> = {
  nodejs: `
const { spawnSync } = require('node:child_process');
exports.handler = async (event, context) => {
  const mark = event.toString();
  console.log('out ' + mark);
  console.error('err ' + mark);
  context.logger.info('logged ' + mark);
  spawnSync('sh', ['-c', 'echo "child out $0"; echo "child err $0" >&2', mark], { stdio: 'inherit' });
  process.stdout.write('par');
  await new Promise((resolve) => setImmediate(resolve));
  process.stdout.write('tial ' + mark);
};`,
  python: `
import logging
import subprocess
import sys


def handler(event, context):
    mark = event.decode()
    print('out ' + mark)
    print('err ' + mark, file=sys.stderr)
    logging.getLogger().warning('logged ' + mark)
    subprocess.run(['sh', '-c', 'echo "child out $0"; echo "child err $0" >&2', mark])
    sys.stdout.write('par')
    sys.stdout.flush()
    sys.stdout.write('tial ' + mark)
`,
};

const PRINTER = `
exports.handler = async (event) => {
  const { lines, text } = JSON.parse(event.toString());
  for (let at = 0; at < lines; at++) console.log(at + ' ' + text);
};`;

interface LogLine {
  readonly requestId: string;
  readonly source: string;
  readonly text: string;
}

test('logs', async (all) => {
  const platform = await startPlatform(all);

  for (const language of ['nodejs', 'python'] as const) {
    await all.test(`every line belongs to its request, in ${language}`, async () => {
      const name = await createFunction(platform, `talker-${language}`, {
        language,
        code: TALKERS[language],
      });
      const ids: string[] = [];
      for (const mark of ['one', 'two']) {
        ids.push(String((await invoke(platform, name, mark)).headers['x-fc-request-id']));
      }
      for (const [at, mark] of ['one', 'two'].entries()) {
        const lines = await linesOf(platform, ids[at] ?? '', 6);
        assert.ok(lines.every(({ requestId }) => requestId === ids[at]));
        const said = (source: string): string[] =>
          lines
            .filter((line) => line.source === source)
            .map(({ text }) => text.replace(/^.*logged/, 'logged'));
        const expected = {
          stdout: [`child out ${mark}`, `out ${mark}`, `partial ${mark}`],
          stderr: [`child err ${mark}`, `err ${mark}`],
        };
        const sorted = { stdout: said('stdout').toSorted(), stderr: said('stderr').toSorted() };
        const logged = `logged ${mark}`;
        const withoutLogger = {
          stdout: sorted.stdout.filter((text) => text !== logged),
          stderr: sorted.stderr.filter((text) => text !== logged),
        };
        assert.deepEqual(withoutLogger, expected);
        assert.equal([...sorted.stdout, ...sorted.stderr].filter((text) => text === logged).length, 1);
        const logger = lines.find(({ text }) => text.endsWith(logged));
        assert.ok(logger?.text.includes(ids[at] ?? '-'), 'the logger names the request');
      }
    });
  }

  await all.test('thaw logs -f follows', async (t) => {
    const name = await createFunction(platform, 'followed', { code: TALKERS.nodejs });
    await invoke(platform, name, 'before');
    const follower = startThaw(t, platform, ['logs', name, '-f']);
    await waitFor('what was said before', () => follower.output().includes('partial before'));
    for (const mark of ['first', 'second']) {
      await invoke(platform, name, mark);
      await waitFor(`what is said ${mark}`, () => follower.output().includes(`partial ${mark}`));
    }
    assert.equal(follower.output().split('out first').length, 3, "each line once: its own and its child's");
    assert.equal(await follower.stop('SIGINT'), 130);
  });

  await all.test('many lines come whole and in order', async () => {
    const name = await createFunction(platform, 'printer', { code: PRINTER, fields: { timeout: 60 } });
    const event = JSON.stringify({ lines: MANY_LINES, text: 'x'.repeat(100) });
    const { headers } = await invoke(platform, name, event);
    const lines = await linesOf(platform, String(headers['x-fc-request-id']), MANY_LINES);
    assert.deepEqual(
      lines.map(({ text }) => Number(text.split(' ')[0])),
      Array.from({ length: MANY_LINES }, (_, at) => at),
    );
  });

  await all.test('a function that prints without end keeps a bounded log', async () => {
    const name = await createFunction(platform, 'flood', {
      code: PRINTER,
      fields: { timeout: 60, memorySize: 512 },
    });
    const flood = JSON.stringify({ lines: 1, text: `${'x'.repeat(FLOOD_BYTES_PER_CALL)} end` });
    const ids: string[] = [];
    for (let written = 0; written < FLOOD_BYTES; written += FLOOD_BYTES_PER_CALL) {
      const id = String((await invoke(platform, name, flood)).headers['x-fc-request-id']);
      // More than the log's buffer holds would be dropped before it is written.
      await waitFor('the flood to be written', async () => {
        return (await newestLines(platform, name, id)).some((line) => line.includes(' end'));
      });
      ids.push(id);
    }
    assert.deepEqual(await newestLines(platform, name, ids[0] ?? ''), [], 'the oldest has gone');
    const directory = join(platform.dataDir, 'logs', name);
    const files = await readdir(directory);
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(directory, file))).size));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    assert.ok(total <= LOG_BYTES_MAX, `${total} bytes in ${files.length} files`);
  });

  await all.test('a request that nobody made has no log, and says so', async () => {
    const { code, stderr } = await platform.thaw([
      'logs',
      '--request',
      '1-00000000-000000000000000000000000',
    ]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /no record/);
  });
});

test('what the platform tells of itself', async (all) => {
  const platform = await startPlatform(all);
  await createFunction(platform, 'counted', {
    code: "exports.handler = async (event) => { if (event.length > 0) throw new Error('asked for'); };",
  });
  const ok = await invoke(platform, 'counted');
  await invoke(platform, 'counted', 'fail');

  await all.test('/metrics, in the format of Prometheus, with the key only', async () => {
    const text = await readMetrics(platform);
    for (const line of text.split('\n')) {
      assert.match(line, /^$|^# (HELP|TYPE) thaw_\S+ .+$|^thaw_[a-z_]+(\{[^{}]*\})? [0-9.e+-]+$/);
    }
    const of = (outcome: string): number =>
      metric(text, 'thaw_invocations_total', { function: 'counted', outcome });
    assert.deepEqual([of('success'), of('function_error'), of('platform_error')], [1, 1, 0]);
    assert.equal(metric(text, 'thaw_cold_starts_total', { function: 'counted' }), 1);
    assert.equal(metric(text, 'thaw_invocation_duration_seconds_count', { function: 'counted' }), 2);
    assert.equal(metric(text, 'thaw_instances', { function: 'counted' }), 1);

    const wrong = Buffer.from(`${platform.credentials.accessKeyId}:wrong`).toString('base64');
    const basic: Readonly<Record<string, string>>[] = [
      {},
      { authorization: `Basic ${wrong}` },
      { authorization: 'Basic !' },
    ];
    for (const headers of basic) {
      const refused = await send(platform.url, { path: '/metrics', headers });
      assert.equal(refused.status, 401);
      assert.match(String(refused.headers['www-authenticate']), /^Basic /);
      assert.equal(refused.body.toString().includes('thaw_invocations_total'), false);
    }
  });

  await all.test('/healthz, without one', async () => {
    assert.equal((await send(platform.url, { path: '/healthz' })).status, 200);
  });

  await all.test('Server-Timing and the record tell the same times', async () => {
    const told = new Map(
      String(ok.headers['server-timing'])
        .split(',')
        .map((entry): [string, number] => {
          const [phase = '', duration = ''] = entry.trim().split(';dur=');
          return [phase, Number(duration)];
        }),
    );
    const records = await recordsOf(platform, 'counted', 2);
    const record = records.find(({ requestId }) => requestId === ok.headers['x-fc-request-id']);
    assert.ok(record !== undefined);
    const start = told.has('stem') ? ['stem'] : ['sandbox', 'boot'];
    for (const phase of ['queued', 'placed', ...start, 'load', 'handler']) {
      const header = told.get(phase);
      assert.ok(header !== undefined, `${phase}: ${String(ok.headers['server-timing'])}`);
      assert.ok(
        Math.abs(header - (record.timeline[phase] ?? Infinity)) < ROUNDING_MS,
        `${phase}: ${header}, ${record.timeline[phase]}`,
      );
    }
    assert.deepEqual([record.coldStart, record.status], [true, 'succeeded']);
    const failed = records.find(({ requestId }) => requestId !== ok.headers['x-fc-request-id']);
    assert.deepEqual(
      [failed?.coldStart, failed?.status, failed?.errorCode],
      [false, 'failed', 'HANDLER_THREW'],
    );
  });
});

/** The texts of the newest lines of one request, without the cost of a command. */
async function newestLines(platform: Platform, name: string, requestId: string): Promise<string[]> {
  const path = `/thaw/v1/functions/${name}/logs`;
  const answer = await signedCall(platform, { method: 'GET', path, query: `limit=2&requestId=${requestId}` });
  assert.equal(answer.status, 200, answer.body.toString());
  return answer.body
    .toString()
    .split('\n')
    .filter((line) => line !== '');
}

/** By `thaw logs --request`, once there are so many. */
function linesOf(platform: Platform, requestId: string, count: number): Promise<readonly LogLine[]> {
  return waitFor(`${count} lines of ${requestId}`, async () => {
    const { code, stdout, stderr } = await platform.thaw([
      'logs',
      '--request',
      requestId,
      '--limit',
      '10000',
      '--json',
    ]);
    assert.equal(code, 0, stderr);
    const lines: LogLine[] = stdout
      .toString()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
    const printed = lines.filter(({ source }) => source !== 'platform');
    return printed.length >= count ? printed : undefined;
  });
}
