/**
 * The images of examples/images, as they are: copied to Debian's registry, deployed by their own s.yaml, asked, and what
 * they answer is looked at; pulled whole, mounted lazily, and by runc. Flask's is built here, in a slim form. All of them as
 * they are take minutes and gigabytes: `examples/images/build.sh DIRECTORY` makes them, THAW_IMAGES=DIRECTORY has them tested.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { ROOT, startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { missingLazyMounts, missingProgram, missingSandbox } from './fixtures/requirements.ts';
import { deployContainer, getFunction } from './support/containers.ts';
import { startDebianRegistry } from './support/debian-registry.ts';
import { decodePng } from './support/decode-png.ts';
import { buildImage, builtImage } from './support/example-images.ts';
import { jsonOf, send, type Answer } from './support/http-call.ts';

const run = promisify(execFile);
/** Gigabytes, on machines with much else to do. */
const TEST_MS_MAX = 30 * 60_000;
const CONVERSION_MS_MAX = 240_000;
/** The window of a start, and as much again for the machine. */
const REPORT_MS_MAX = 120_000;
const FORM = 'application/x-www-form-urlencoded';

type Call = (path: string, body?: Buffer | string, contentType?: string) => Promise<Answer>;
type SendEvent = (event: Buffer | string) => Promise<Buffer>;

interface Example {
  readonly name: string;
  readonly memorySize: number;
  check(call: Call, event: SendEvent): Promise<void>;
}

const EXAMPLES: readonly Example[] = [
  { name: 'flask', memorySize: 256, check: checkFlask },
  { name: 'machine-learning', memorySize: 512, check: checkMachineLearning },
  { name: 'chrome', memorySize: 1024, check: checkChrome },
  { name: 'inference', memorySize: 1536, check: checkInference },
];

async function checkFlask(call: Call, event: SendEvent): Promise<void> {
  assert.equal((await event('an event')).toString(), 'Flask got an event');
  assert.match((await call('/')).body.toString(), /<h1>Guest book<\/h1>/u);
  const signed = await call('/guests', `name=${encodeURIComponent('Zoë <3')}`, FORM);
  assert.equal(signed.status, 303, signed.body.toString());
  assert.match((await call('/')).body.toString(), /<li>Zoë &lt;3<\/li>/u);
  assert.equal((await call('/guests', 'name=', FORM)).status, 400);
  const about = jsonOf<{ user: number; path: string; query: unknown }>(await call('/about?a=b'));
  // The www-data of the image's own /etc/passwd.
  assert.deepEqual([about.user, about.path, about.query], [33, '/about', { a: 'b' }]);
}

async function checkMachineLearning(call: Call, event: SendEvent): Promise<void> {
  // Above the diagonal or below it: what was never seen is told by the model alone.
  const rows = Array.from({ length: 60 }, (_, index) => [(index * 7) % 20, (index * 13) % 17]).filter(
    ([x, y]) => x !== y,
  );
  const labels = rows.map(([x = 0, y = 0]) => (y > x ? 'above' : 'below'));
  const asked = [
    [2, 11],
    [11, 2],
    [5, 14],
    [16, 8],
  ];
  const answer = await event(JSON.stringify({ model: 'logistic', rows, labels, predict: asked }));
  const { labels: given }: { labels: string[] } = JSON.parse(answer.toString());
  assert.deepEqual(given, ['above', 'below', 'above', 'below']);
  const turned = labels.map((label) => (label === 'above' ? 'below' : 'above'));
  assert.equal((await call('/fit', JSON.stringify({ model: 'logistic', rows, labels: turned }))).status, 200);
  const predicted = jsonOf<{ labels: string[]; certainty: number[] }>(
    await call('/predict', JSON.stringify({ rows: asked })),
  );
  assert.deepEqual(predicted.labels, ['below', 'above', 'below', 'above']);
  assert.ok(predicted.certainty.every((certainty) => certainty > 0.5 && certainty <= 1));
  const fitted = jsonOf<{ rows: number; held: number; accuracy: number }>(
    await call('/fit', JSON.stringify({ model: 'forest', dataset: 'digits' })),
  );
  assert.deepEqual([fitted.rows, fitted.held], [1347, 450]);
  assert.ok(fitted.accuracy > 0.9, `${fitted.accuracy}`);
  assert.equal((await call('/fit', '{"model":"crystal ball"}')).status, 400);
}

const PAGE = `<!doctype html>
<style>
  body { margin: 0; background: rgb(250, 240, 200) }
  #left { position: absolute; left: 0; top: 0; width: 100px; height: 200px; background: rgb(200, 30, 40) }
  h1 { position: absolute; left: 120px; top: 100px; margin: 0; font: 40px/50px sans-serif; color: rgb(0, 0, 0) }
</style>
<div id="left"></div><canvas id="drawn" width="80" height="60" style="position:absolute;left:200px;top:10px"></canvas>
<h1>before</h1>
<script>
  const pen = document.querySelector('canvas').getContext('2d');
  pen.fillStyle = 'rgb(10, 120, 220)';
  pen.fillRect(0, 0, 80, 60);
  document.querySelector('h1').textContent = 'six times seven is ' + 6 * 7;
</script>`;

async function checkChrome(call: Call, event: SendEvent): Promise<void> {
  const picture = decodePng(await event(JSON.stringify({ html: PAGE, width: 640, height: 320 })));
  assert.deepEqual([picture.width, picture.height], [640, 320]);
  assert.deepEqual(picture.at(50, 100), [200, 30, 40], 'the block of the style sheet');
  assert.deepEqual(picture.at(50, 250), [250, 240, 200], 'the ground below it');
  assert.deepEqual(picture.at(240, 40), [10, 120, 220], 'what the script has drawn');
  assert.deepEqual(picture.at(600, 300), [250, 240, 200]);
  let dark = 0;
  for (let y = 100; y < 150; y += 1)
    for (let x = 120; x < 640; x += 1) if (picture.at(x, y)[0] < 100) dark += 1;
  assert.ok(dark > 1000 && dark < 12_000, `the letters have ${dark} dark pixels`);
  const text = await call('/text', PAGE);
  assert.equal(text.body.toString().trim(), 'six times seven is 42');
  const other = await call('/screenshot', '<body style="background:rgb(1,2,3)">');
  assert.equal(other.headers['content-type'], 'image/png');
  const plain = decodePng(other.body);
  assert.deepEqual([plain.width, plain.height, plain.at(400, 300)], [800, 600, [1, 2, 3]]);
  assert.equal((await call('/screenshot', '{"url":"file:///etc/passwd"}')).status, 400);
}

async function checkInference(call: Call, event: SendEvent): Promise<void> {
  const facts = jsonOf<{ accuracy: number; held: number }>(await call('/'));
  assert.ok(facts.accuracy > 0.95 && facts.held === 359, JSON.stringify(facts));
  let right = 0;
  for (let digit = 0; digit < 10; digit += 1) {
    const { body } = await call(`/pictures/${digit}.png`);
    assert.deepEqual([decodePng(body).width, decodePng(body).height], [64, 64]);
    const read = jsonOf<{ digit: number; likely: number[] }>(await call('/classify', body));
    assert.equal(read.likely.length, 10);
    if (read.digit === digit) right += 1;
  }
  // None of them has been learnt from, so that one may well be misread.
  assert.ok(right >= 9, `${right} of ten digits were read`);
  assert.equal((await call('/classify', 'no picture')).status, 415);
  const { body } = await call('/pictures/1.png');
  const answer = await event(body);
  assert.equal(JSON.parse(answer.toString()).likely.length, 10);
}

/** Asks a function over its HTTP trigger, and by the command line, whose patience is the function's own. */
async function checkFunction(platform: Platform, example: Example, functionName: string): Promise<void> {
  const got = await platform.thaw(['trigger', 'get', functionName, 'web', '--json']);
  assert.equal(got.code, 0, got.stderr);
  const { httpTrigger }: { httpTrigger: { urlInternet: string } } = JSON.parse(got.stdout.toString());
  const base = new URL(httpTrigger.urlInternet).pathname.replace(/\/$/u, '');
  await example.check(
    (path, body, contentType = 'application/octet-stream') =>
      send(platform.url, {
        path: base + path,
        headers: body === undefined ? {} : { 'content-type': contentType },
        ...(body === undefined ? {} : { method: 'POST', body }),
      }),
    async (event) => {
      const answer = await platform.thaw(['invoke', functionName, '-f', '-'], { input: event });
      assert.equal(answer.code, 0, `${functionName}: ${answer.stdout.toString()}${answer.stderr}`);
      return answer.stdout;
    },
  );
}

interface Start {
  readonly versionKey: string;
  readonly mode: string;
  readonly reason: string;
}

/** How the first instance of a function got its image: of a lazy start that is known when its window has ended. */
async function modeOf(platform: Platform, digest: string, functionName: string): Promise<string> {
  return await waitFor(
    `the report on the start of ${functionName}`,
    async () => {
      const { code, stdout, stderr } = await platform.thaw(['image', 'inspect', digest, '--json']);
      assert.equal(code, 0, stderr);
      const { starts }: { starts: readonly Start[] } = JSON.parse(stdout.toString());
      return starts.find(({ versionKey }) => versionKey.startsWith(`${functionName}@`))?.mode;
    },
    REPORT_MS_MAX,
  );
}

test('the four images', { timeout: TEST_MS_MAX }, async (all) => {
  const skip = missingProgram('docker-registry', 'skopeo') ?? false;
  for (const example of EXAMPLES) {
    await all.test(example.name, { skip, timeout: TEST_MS_MAX }, async (t) => {
      const built = await (example.name === 'flask' ? buildImage(t, 'flask') : builtImage(example.name));
      if ('missing' in built) {
        t.skip(built.missing);
        return;
      }
      const platform = await startPlatform(t, { needs: ['lazy-images', 'image-prefetch'] });
      const missing = await missingSandbox(platform);
      if (missing === undefined) await checkImage(t, platform, example, built.layout);
      else t.skip(missing);
    });
  }
});

async function checkImage(
  t: TestContext,
  platform: Platform,
  example: Example,
  layout: string,
): Promise<void> {
  const { name, memorySize } = example;
  const host = await startDebianRegistry(t);
  const image = `${host}/examples/${name}:latest`;
  await run('skopeo', ['copy', '--dest-tls-verify=false', `oci:${layout}:latest`, `docker://${image}`]);
  const deployed = await platform.thaw(['deploy', '-t', join(ROOT, 'examples/images', name, 's.yaml')], {
    environment: { IMAGE_REGISTRY: host },
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  const { customContainerConfig } = await getFunction(platform, `image-${name}`);
  assert.equal(customContainerConfig.image, image);
  const digest = customContainerConfig.resolvedImageUri.split('@')[1] ?? '';
  await checkFunction(platform, example, `image-${name}`);

  const deploy = async (functionName: string, config = {}, environmentVariables = {}): Promise<void> => {
    const fields = { memorySize, timeout: 120, instanceConcurrency: 2, environmentVariables };
    await deployContainer(platform, functionName, { image, ...config }, fields);
    await checkFunction(platform, example, functionName);
  };
  await t.test('pulled whole', async () => {
    await deploy('whole', { accelerationType: 'None' });
    assert.equal(await modeOf(platform, digest, 'whole'), 'full');
  });

  await t.test('mounted lazily', { skip: missingLazyMounts() ?? false }, async () => {
    await waitFor(
      'the image to be converted',
      () => platform.output().includes('later starts mount it lazily'),
      CONVERSION_MS_MAX,
    );
    await deploy('lazily');
    assert.equal(await modeOf(platform, digest, 'lazily'), 'lazy');
  });

  const runc = missingProgram('runc') ?? (process.getuid?.() === 0 ? undefined : 'runc needs root');
  await t.test('run by runc', { skip: runc ?? false }, async () => {
    await deploy('by-runc', {}, { THAW_ISOLATION: 'runc' });
    const mode = missingLazyMounts() === undefined ? 'lazy' : 'full';
    assert.equal(await modeOf(platform, digest, 'by-runc'), mode);
  });
}
