import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { deployExample } from './fixtures/deploy-example.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { recordsOf } from './fixtures/records.ts';
import { missingNpmIndex, missingProgram, missingPythonIndex } from './fixtures/requirements.ts';
import { putSetting } from './support/functions.ts';
import { send } from './support/http-call.ts';

const run = promisify(execFile);

const WIDTH = 320;
const PICTURE_BYTES_MIN = 4_500_000;
const UPLOAD_BYTES = 20 * 1024 * 1024;
/** So far behind the first call that its instance is ready when the first one has been used and is free again. */
const SECOND_CALL_AFTER_MS = 3000;
/** It sleeps for 5 s, measured between two messages of which the first may reach a busy platform late. */
const INITIALIZER_MS_MIN = 4000;
/**
 * For apps that keep what they are given in their memory. The length of an answer may tell its receiver of its end before the
 * app has ended it, and who asks again at once finds the instance busy.
 */
const ONE_INSTANCE = { reservedConcurrency: 1 };

test('the examples', { concurrency: true }, async (examples) => {
  const platform = await startPlatform(examples);

  await Promise.all([
    examples.test('hello, in both languages', async (t) => {
      assert.ok(await deployExample(t, platform, 'hello'));
      for (const language of ['nodejs', 'python']) {
        assert.equal(await invokeText(platform, `hello-${language}`, '{"name":"Zoë"}'), 'hello Zoë');
        assert.equal(await invokeText(platform, `hello-${language}`, '{}'), 'hello world');
      }
    }),

    examples.test('thumbnail, with a JPEG of 5 MB through both doors', async (t) => {
      const directory = await deployExample(t, platform, 'thumbnail', missingNpmIndex);
      if (directory === undefined) return;
      const code = join(directory, 'code');
      const picture = join(directory, 'large picture.jpg');
      await makePicture(code, picture);
      const size = (await readFile(picture)).length;
      assert.ok(size > PICTURE_BYTES_MIN, `${size}`);

      await t.test('by thaw invoke', async () => {
        const small = join(directory, 'by invoke.jpg');
        const result = await platform.thaw(['invoke', 'thumbnail', '-f', picture, '-o', small]);
        assert.equal(result.code, 0, result.stderr);
        await assertThumbnail(code, small, size);
      });
      await t.test('by curl on the trigger', { skip: missingProgram('curl') }, async () => {
        const small = join(directory, 'by curl.jpg');
        const args = [
          '--silent',
          '--show-error',
          '--fail',
          '--data-binary',
          `@${picture}`,
          '--output',
          small,
        ];
        await run('curl', [...args, await triggerUrl(platform, 'thumbnail')]);
        await assertThumbnail(code, small, size);
      });
      await t.test('and says so where there is no picture', async () => {
        const path = new URL(await triggerUrl(platform, 'thumbnail')).pathname;
        const answer = await send(platform.url, { method: 'POST', path, body: 'no picture' });
        assert.equal(answer.status, 415);
        assert.match(answer.body.toString(), /^that is no picture/);
      });
    }),

    examples.test('flask-app, unmodified, at both of its addresses', async (t) => {
      if ((await deployExample(t, platform, 'flask-app', missingPythonIndex)) === undefined) return;
      await putSetting(platform, 'flask-app/concurrency', ONE_INSTANCE);
      const guests: string[] = [];
      for (const { base, headers } of await addressesOf(platform, 'flask-app')) {
        await t.test(`at ${base}/`, async () => {
          const page = await send(platform.url, { path: `${base}/`, headers });
          assert.equal(page.status, 200);
          assert.match(page.body.toString(), /<h1>Guest book<\/h1>/);
          assert.ok(page.body.toString().includes(`action="${base}/sign"`), 'url_for knows the prefix');

          guests.push(`Ada & ${guests.length}`);
          const signed = await send(platform.url, {
            method: 'POST',
            path: `${base}/sign`,
            headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
            body: new URLSearchParams({ name: guests.at(-1) ?? '' }).toString(),
          });
          assert.equal(signed.status, 201);
          assert.deepEqual(JSON.parse(signed.body.toString()), { guests, home: `${base}/` });

          const count = await send(platform.url, { path: `${base}/count`, headers });
          assert.equal(count.body.toString(), Array.from({ length: 1000 }, (_, at) => `${at}\n`).join(''));
          assert.equal((await send(platform.url, { path: `${base}/nowhere`, headers })).status, 404);

          const uploaded = await send(platform.url, {
            method: 'POST',
            path: `${base}/upload`,
            headers,
            body: Buffer.alloc(UPLOAD_BYTES, 'x'),
          });
          assert.deepEqual(JSON.parse(uploaded.body.toString()), { size: UPLOAD_BYTES });
        });
      }
    }),

    examples.test('express-app, unmodified, at both of its addresses', async (t) => {
      if ((await deployExample(t, platform, 'express-app', missingNpmIndex)) === undefined) return;
      await putSetting(platform, 'express-app/concurrency', ONE_INSTANCE);
      let notes = 0;
      for (const { base, headers } of await addressesOf(platform, 'express-app')) {
        await t.test(`at ${base}/`, async () => {
          const page = await send(platform.url, { path: `${base}/`, headers });
          assert.equal(page.status, 200);
          assert.match(page.body.toString(), /^<h1>Notes<\/h1>/);

          notes += 1;
          const added = await send(platform.url, {
            method: 'POST',
            path: `${base}/notes`,
            headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
            body: 'text=milk+%26+bread',
          });
          assert.equal(added.status, 201);
          assert.deepEqual(JSON.parse(added.body.toString()), { id: `${notes}`, text: 'milk & bread' });
          assert.deepEqual(added.headers['set-cookie'], [`last=${notes}; Path=/`]);
          const note = await send(platform.url, { path: `${base}/notes/${notes}`, headers });
          assert.deepEqual(JSON.parse(note.body.toString()), { id: `${notes}`, text: 'milk & bread' });

          const style = await send(platform.url, { path: `${base}/static/style.css`, headers });
          assert.match(String(style.headers['content-type']), /^text\/css/);
          assert.ok(style.headers.etag !== undefined);
          const again = await send(platform.url, {
            path: `${base}/static/style.css`,
            headers: { ...headers, 'if-none-match': style.headers.etag },
          });
          assert.equal(again.status, 304);

          const chunks = await chunksOf(platform, `${base}/ticks`, headers);
          assert.equal(chunks.join(''), 'data: tick 1\n\ndata: tick 2\n\ndata: tick 3\n\n');
          assert.ok(chunks.length > 1, 'ticks arrive one by one');
        });
      }
    }),

    examples.test('slow-start, with one cold start for two calls', async (t) => {
      assert.ok(await deployExample(t, platform, 'slow-start'));
      const first = invokeText(platform, 'slow-start', '');
      const startedAt = await waitFor('the first initializer', async () => {
        const starting = { function: 'slow-start', state: 'initializing' };
        return metric(await readMetrics(platform), 'thaw_instances', starting) > 0 && performance.now();
      });
      await waitFor('the first to be ahead', () => performance.now() - startedAt > SECOND_CALL_AFTER_MS);
      const second = invokeText(platform, 'slow-start', '');
      assert.deepEqual(await Promise.all([first, second]), ['', '']);
      const [newer, older] = await recordsOf(platform, 'slow-start', 2);
      assert.ok(newer !== undefined && older !== undefined);
      assert.deepEqual([older.coldStart, newer.coldStart], [true, false]);
      assert.equal(newer.instanceId, older.instanceId);
      const initializerMs = older.timeline['initializer'] ?? 0;
      assert.ok(initializerMs > INITIALIZER_MS_MIN, `the initializer took ${initializerMs} ms`);
      assert.equal(newer.timeline['initializer'], undefined, 'and not again before the second');
    }),
  ]);
});

async function invokeText(platform: Platform, functionName: string, event: string): Promise<string> {
  const { code, stdout, stderr } = await platform.thaw(['invoke', functionName, '-d', event]);
  assert.equal(code, 0, stderr);
  return stdout.toString();
}

/** As `thaw trigger get` tells it. */
async function triggerUrl(platform: Platform, functionName: string): Promise<string> {
  const { code, stdout, stderr } = await platform.thaw(['trigger', 'get', functionName, 'web', '--json']);
  assert.equal(code, 0, stderr);
  const trigger: { httpTrigger: { urlInternet: string } } = JSON.parse(stdout.toString());
  return trigger.httpTrigger.urlInternet;
}

interface Address {
  /** The prefix under which the app is mounted. */
  readonly base: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A host name of its own, which no resolver is asked for here, and the path that the trigger's URL has. */
async function addressesOf(platform: Platform, functionName: string): Promise<readonly Address[]> {
  const { port } = new URL(platform.url);
  const { pathname } = new URL(await triggerUrl(platform, functionName));
  return [
    { base: pathname.replace(/\/$/, ''), headers: {} },
    { base: '', headers: { host: `${functionName}.localhost:${port}` } },
  ];
}

/** The body in the pieces in which it came. */
async function chunksOf(
  platform: Platform,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const { hostname, port } = new URL(platform.url);
  const request = httpRequest({ hostname, port, path, headers, agent: false });
  const chunks: string[] = [];
  request.once('response', (response) => {
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => chunks.push(chunk));
    response.once('end', () => request.emit('answered'));
  });
  request.end();
  await once(request, 'answered');
  return chunks;
}

/** Noise, since nothing else stays large as a JPEG; made with the sharp that the example has installed. */
async function makePicture(code: string, path: string): Promise<void> {
  await withSharp(
    code,
    `sharp({ create: { width: 3600, height: 2500, channels: 3, background: 'white',
      noise: { type: 'gaussian', mean: 128, sigma: 40 } } }).jpeg({ quality: 85 }).toFile(process.argv[1])`,
    path,
  );
}

async function assertThumbnail(code: string, path: string, originalSize: number): Promise<void> {
  // Reading every pixel finds a broken picture; its head alone would not.
  const told = await withSharp(
    code,
    `sharp(process.argv[1], { failOn: 'truncated' }).toBuffer({ resolveWithObject: true })
      .then(({ info }) => console.log(JSON.stringify(info)))`,
    path,
  );
  const { format, width }: { format: string; width: number } = JSON.parse(told);
  assert.deepEqual({ format, width }, { format: 'jpeg', width: WIDTH });
  const { length } = await readFile(path);
  assert.ok(length > 0 && length < originalSize);
}

async function withSharp(code: string, expression: string, path: string): Promise<string> {
  const script = `const sharp = require('sharp'); ${expression}`;
  const { stdout } = await run(process.execPath, ['-e', script, path], { cwd: code });
  return stdout;
}
