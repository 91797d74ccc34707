import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory, type TemporaryDirectory } from '../../test/temporary-directory.ts';
import { bundleCode } from './bundle-code.ts';
import { listCode } from './list-code.ts';
import { packCode } from './pack-code.ts';

const run = promisify(execFile);

/** What stands in the package after bundling, and what `expression` over the handler's module prints there. */
async function bundled(directory: TemporaryDirectory, handlers: readonly string[], expression: string) {
  await using target = await temporaryDirectory();
  await using bundle = await bundleCode(
    { directory: directory.path, handlers, runtime: 'nodejs20' },
    await listCode(directory.path),
  );
  for (const entry of bundle.entries) {
    if (entry.kind !== 'file') continue;
    await mkdir(join(target.path, entry.path, '..'), { recursive: true });
    await cp(entry.source, join(target.path, entry.path));
  }
  const { stdout } = await run(process.execPath, ['-e', expression], { cwd: target.path });
  const { unbundled, warnings } = bundle;
  return { paths: bundle.entries.map(({ path }) => path), unbundled, warnings, stdout };
}

test('a CommonJS handler and its packages become one file; what else is there stays', async () => {
  await using directory = await temporaryDirectory();
  await directory.write('package.json', '{"dependencies":{"dep":"1"}}');
  await directory.write(
    'src/index.js',
    "const { twice } = require('dep'); exports.handler = (n) => twice(n) + require('./lib/one');",
  );
  await directory.write('src/lib/one.js', 'module.exports = 1;');
  await directory.write('page.html', '<p>');
  await directory.write('node_modules/dep/package.json', '{"main":"main.js"}');
  await directory.write('node_modules/dep/main.js', 'exports.twice = (n) => n * 2;');
  await directory.write('node_modules/unused/index.js', '');
  assert.deepEqual(
    await bundled(directory, ['src/index.handler'], "console.log(require('./src/index.cjs').handler(4))"),
    {
      paths: ['package.json', 'page.html', 'src/index.cjs'],
      unbundled: [],
      warnings: [],
      stdout: '9\n',
    },
  );
});

test('TypeScript is taken, rather than what a compiler left beside it, with every hook', async () => {
  await using directory = await temporaryDirectory();
  await directory.write(
    'index.ts',
    "import { one } from './one';\nexport const handler = (n: number): number => n + one;",
  );
  await directory.write('index.js', 'throw new Error("stale")');
  await directory.write('one.ts', 'export const one: number = 1;');
  await directory.write('hooks.ts', 'export const init = (): string => "ready";');
  const script = "console.log(require('./index.cjs').handler(1), require('./hooks.cjs').init())";
  const { paths, stdout } = await bundled(directory, ['index.handler', 'hooks.init'], script);
  assert.deepEqual(paths, ['hooks.cjs', 'index.cjs']);
  assert.equal(stdout, '2 ready\n');
});

test('a module stays a module, and the CommonJS that it imports finds require and __dirname', async () => {
  await using directory = await temporaryDirectory();
  await directory.write('package.json', '{"type":"module"}');
  await directory.write(
    'index.js',
    `import { createRequire } from 'node:module';
     import dep from 'dep';
     const require = createRequire(import.meta.url);
     const { sep } = await import('node:path');
     export const handler = () => [dep.where === import.meta.dirname, typeof require('node:fs').readFileSync, dep.os, sep];`,
  );
  await directory.write('node_modules/dep/package.json', '{}');
  await directory.write(
    'node_modules/dep/index.js',
    "exports.where = __dirname; exports.os = typeof require('node:os').cpus;",
  );
  const script = "import('./index.mjs').then(({ handler }) => console.log(JSON.stringify(handler())))";
  const { paths, stdout } = await bundled(directory, ['index.handler'], script);
  assert.deepEqual(paths, ['index.mjs', 'package.json']);
  assert.equal(stdout, '[true,"function","function","/"]\n');
});

test('a package of machine code stays where it is', async () => {
  await using directory = await temporaryDirectory();
  await directory.write('index.js', "exports.handler = () => require('native') + require('plain');");
  await directory.write('node_modules/native/binding.gyp', '');
  await directory.write('node_modules/native/index.js', 'module.exports = 1;');
  await directory.write('node_modules/plain/index.js', 'module.exports = 2;');
  const { paths, unbundled, stdout } = await bundled(
    directory,
    ['index.handler'],
    "console.log(require('./index.cjs').handler())",
  );
  assert.deepEqual(unbundled, ['native']);
  assert.ok(paths.includes('node_modules/native/index.js'));
  assert.equal(stdout, '3\n');
});

test('the same tree gives the same package, wherever it stands', async () => {
  await using first = await temporaryDirectory();
  await using second = await temporaryDirectory();
  const zips: Buffer[] = [];
  for (const directory of [first, second]) {
    await directory.write('index.js', "exports.handler = () => require('./a.js');");
    await directory.write('a.js', 'module.exports = __filename;');
    await using zip = await packCode(directory.path, { handlers: ['index.handler'], runtime: 'nodejs20' });
    zips.push(await readFile(zip.file));
  }
  assert.ok(zips[0] !== undefined && zips[1] !== undefined);
  assert.ok(zips[0].equals(zips[1]));
});

test('names the file and the line of what cannot be bundled, and the handler that is not there', async () => {
  await using directory = await temporaryDirectory();
  await directory.write('index.js', "\nrequire('./missing.js');");
  const options = { directory: directory.path, runtime: 'nodejs20' };
  await assert.rejects(bundleCode({ ...options, handlers: ['index.handler'] }, []), {
    code: 'INVALID_ARGUMENT',
    message: /index\.js:2: Could not resolve "\.\/missing\.js"/u,
  });
  await assert.rejects(bundleCode({ ...options, handlers: ['other.handler'] }, []), {
    code: 'INVALID_ARGUMENT',
    message: /none of other\.ts, .* to bundle/u,
  });
  await assert.rejects(bundleCode({ ...options, handlers: ['handler'] }, []), { code: 'INVALID_ARGUMENT' });
});
