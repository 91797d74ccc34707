import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPlatform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { copyExample } from './fixtures/deploy-example.ts';
import { startThaw } from './fixtures/running-command.ts';
import { invoke } from './support/functions.ts';

const VERSIONS = {
  'hello-nodejs': {
    file: 'nodejs/index.js',
    saying: (word: string) => `exports.handler = async () => '${word}';\n`,
    broken: 'exports.handler = async () => {\n',
  },
  'hello-python': {
    file: 'python/index.py',
    saying: (word: string) => `def handler(event, context):\n    return '${word}'\n`,
    broken: 'def handler(event, context:\n',
  },
} as const;

test('thaw dev runs what the files say', async (t) => {
  const platform = await startPlatform(t);
  const directory = await copyExample(t, 'hello');
  const dev = startThaw(t, platform, ['dev', '-t', join(directory, 's.yaml')]);
  await waitFor('dev to watch', () => {
    assert.equal(dev.exitCode, null, dev.output());
    return dev.output().includes('watching ');
  });

  for (const [name, { file, saying, broken }] of Object.entries(VERSIONS)) {
    const path = join(directory, file);
    const ask = async (): Promise<string> => (await invoke(platform, name, '{"name":"dev"}')).body.toString();
    const saysNext = async (word: string): Promise<void> => {
      const changedAt = performance.now();
      await writeFile(path, saying(word));
      await waitFor(`${name} to say ${word}`, async () => (await ask()) === word);
      t.diagnostic(`${name} said ${word} ${Math.round(performance.now() - changedAt)} ms after the change`);
    };
    assert.equal(await ask(), 'hello dev');
    await saysNext('changed');
    await saysNext('again');

    await writeFile(path, broken);
    const failed = await waitFor(`${name} to fail`, async () => {
      const answer = await invoke(platform, name);
      return answer.headers['x-fc-error-type'] !== undefined && answer.body.toString();
    });
    assert.match(failed, /SyntaxError/);
    assert.match(failed, /index/);
    await saysNext('mended');
  }
  assert.match(dev.output(), /hello-nodejs: .*index\.js changed, reloaded in/);

  assert.equal(await dev.stop('SIGINT'), 130, dev.output());
  for (const name of Object.keys(VERSIONS)) {
    await waitFor(`${name} as it was deployed`, async () => {
      return (await invoke(platform, name, '{"name":"you"}')).body.toString() === 'hello you';
    });
  }
});
