import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { invoke } from './support/functions.ts';

test('thaw deploy --bundle runs TypeScript and leaves node_modules at home', async (t) => {
  const platform = await startPlatform(t);
  const directory = await temporaryDirectory(t, 'thaw bundle ');
  const files = {
    's.yaml': `
edition: 3.0.0
name: bundled
resources:
  greeter:
    component: fc3
    props:
      functionName: greeter
      runtime: nodejs20
      handler: src/index.handler
      code: ./code
      instanceLifecycleConfig:
        initializer:
          handler: src/hooks.initialize
`,
    'code/src/index.ts': `
import { shout } from 'shouter';
import { name } from './state';
export const handler = async (event: Buffer): Promise<string> => shout(\`\${name()} \${event.toString()}\`);
`,
    'code/src/state.ts': `
declare global { var greeterName: string | undefined }
export const name = (): string => globalThis.greeterName ?? 'nobody';
`,
    'code/src/hooks.ts': `export const initialize = async (): Promise<void> => { globalThis.greeterName = 'anna'; };`,
    'code/node_modules/shouter/package.json': '{"main":"index.js"}',
    'code/node_modules/shouter/index.js': 'exports.shout = (text) => text.toUpperCase();',
  };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(directory, name, '..'), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  const deploy = (): ReturnType<typeof platform.thaw> =>
    platform.thaw(['deploy', '--bundle', '--json'], { cwd: directory });
  const first = await deploy();
  assert.equal(first.code, 0, first.stderr);
  assert.equal((await invoke(platform, 'greeter', 'says hi')).body.toString(), 'ANNA SAYS HI');
  assert.equal(JSON.parse((await deploy()).stdout.toString()).results[0].outcome, 'unchanged');
});
