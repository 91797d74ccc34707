import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { startThaw } from './fixtures/running-command.ts';
import { recordsOf } from './fixtures/records.ts';
import { API, createFunction } from './support/functions.ts';
import { signedCall } from './support/signed-call.ts';

interface Summary {
  readonly total: number;
  readonly resumed: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly failures: readonly { readonly input: string; readonly status: string; readonly message: string }[];
}

const INPUTS = 30;
/** Answers in capitals; what begins with `bad` only after it was told to. */
const CAPITALS = `exports.handler = async (event) => {
  const text = event.toString();
  if (text.startsWith('bad') && process.env.IS_MENDED !== 'yes') throw new Error('no ' + text);
  return text.toUpperCase();
};`;
const SLOW = `exports.handler = async (event) => {
  await new Promise((done) => setTimeout(done, 300));
  return event;
};`;

test('files become results of their names; what failed is tried by the same command', async (t) => {
  const platform = await startPlatform(t);
  const directory = await temporaryDirectory(t, 'thaw map ');
  await mkdir(join(directory, 'in'));
  const names = Array.from({ length: INPUTS }, (_, n) => `${String(n).padStart(2, '0')}.txt`);
  for (const [n, name] of names.entries()) {
    await writeFile(join(directory, 'in', name), n % 10 === 3 ? `bad ${n}` : `text ${n}`);
  }
  await createFunction(platform, 'capitals', { code: CAPITALS });
  const path = `${API}/functions/capitals`;
  const noRetries = {
    method: 'PUT',
    path: `${path}/async-invoke-config`,
    body: '{"maxAsyncRetryAttempts":0}',
  };
  assert.equal((await signedCall(platform, noRetries)).status, 200);

  const inputs = names.map((name) => join('in', name));
  const map = async (): Promise<{ code: number | null; summary: Summary }> => {
    const args = ['map', 'capitals', ...inputs, '--concurrency', '7', '-o', 'out', '--json'];
    const { code, stdout, stderr } = await platform.thaw(args, { cwd: directory });
    assert.equal(stderr, '');
    const summary: Summary = JSON.parse(stdout.toString());
    return { code, summary };
  };
  const first = await map();
  assert.equal(first.code, 3);
  const { total, resumed, succeeded, failed, failures } = first.summary;
  assert.deepEqual(
    { total, resumed, succeeded, failed },
    { total: INPUTS, resumed: 0, succeeded: 27, failed: 3 },
  );
  assert.deepEqual(failures.map(({ input }) => input).toSorted(), ['03.txt', '13.txt', '23.txt']);
  for (const { status, message } of failures) {
    assert.equal(status, 'Failed');
    assert.match(message, /no bad \d+/u);
  }

  const mended = JSON.stringify({ environmentVariables: { IS_MENDED: 'yes' } });
  assert.equal((await signedCall(platform, { method: 'PUT', path, body: mended })).status, 200);
  const second = await map();
  assert.equal(second.code, 0);
  assert.equal(second.summary.resumed, 27);
  assert.equal(second.summary.succeeded, 3);
  for (const [n, name] of names.entries()) {
    const expected = n % 10 === 3 ? `BAD ${n}` : `TEXT ${n}`;
    assert.equal(await readFile(join(directory, 'out', name), 'utf8'), expected);
  }

  const other = await platform.thaw(['map', 'capitals', 'in/00.txt', '-o', 'out'], { cwd: directory });
  assert.equal(other.code, 2);
  assert.match(other.stderr, /holds the results of another map/u);
});

test('an interrupted map goes on where it was, and nothing runs twice', async (t) => {
  const platform = await startPlatform(t);
  const directory = await temporaryDirectory(t, 'thaw map ');
  await createFunction(platform, 'slow', { code: SLOW });
  const lines = join(directory, 'lines');
  await writeFile(lines, Array.from({ length: 12 }, (_, n) => `line ${n}\n`).join(''));
  const results = join(directory, 'out');
  const args = ['map', 'slow', '--lines', lines, '--concurrency', '3', '-o', results];
  const map = startThaw(t, platform, args);
  const finished = async (): Promise<string[]> =>
    (await readdir(results).catch(() => [])).filter((name) => /^\d+$/u.test(name));
  await waitFor('some results', async () => {
    assert.equal(map.exitCode, null, map.output());
    return (await finished()).length >= 3;
  });
  assert.equal(await map.stop('SIGINT'), 130, map.output());
  assert.ok((await finished()).length < 12);

  const again = await platform.thaw(args);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /were there/u);
  for (let n = 0; n < 12; n += 1) {
    assert.equal(await readFile(join(results, String(n).padStart(2, '0')), 'utf8'), `line ${n}`);
  }
  const records = await recordsOf(platform, 'slow', 12);
  assert.equal(records.length, 12);
});

test('says what is wrong with its inputs', async (t) => {
  const platform = await startPlatform(t);
  const directory = await temporaryDirectory(t, 'thaw map ');
  await mkdir(join(directory, 'a'));
  await writeFile(join(directory, 'a', 'same'), '');
  await writeFile(join(directory, 'same'), '');
  const cases: [string[], RegExp][] = [
    [['map', 'f'], /name files as inputs/u],
    [['map', 'f', 'absent'], /reading the input absent/u],
    [['map', 'f', 'same', 'a/same'], /two results would be named 'same'/u],
    [['map', 'f', '--lines', 'same'], /no line in same/u],
    [['map', 'absent', 'same', '-o', 'out'], /absent/u],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await platform.thaw(args, { cwd: directory });
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
  }
});
