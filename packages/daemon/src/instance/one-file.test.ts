import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { oneFile } from './one-file.ts';

const SHIMS = join(import.meta.dirname, '../../../../runtimes/nodejs');
const run = promisify(execFile);

async function outputOf(text: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=commonjs', '-e', text]);
  return stdout;
}

test('modules are evaluated when they are asked for, once, also in a circle', async () => {
  const sources = new Map([
    [
      'a.cjs',
      "'use strict';\nconst b = require('./b.cjs');\nconsole.log('a', b.name);\n" +
        "setImmediate(() => console.log(require('./late.cjs').name, require('./b.cjs') === b));",
    ],
    ['b.cjs', "console.log('b', require('./c.cjs').name); exports.name = 'B'; // without an end of the line"],
    ['c.cjs', "const b = require('./b.cjs');\nmodule.exports = { name: `C ${b.name}` };"],
    ['late.cjs', "exports.name = 'late';\nconsole.log(require('node:path').sep, this === exports);"],
    ['unused.cjs', "console.log('unused');"],
  ]);
  assert.equal(await outputOf(oneFile('a.cjs', sources)), 'b C undefined\na B\n/ true\nlate true\n');
});

test('a module that is not there is told before anything runs', () => {
  assert.throws(() => oneFile('a.cjs', new Map([['a.cjs', "require('./b.cjs')"]])), /no module b\.cjs/);
});

test('the shim of Node names its modules in no other way', async () => {
  const names = (await readdir(SHIMS)).filter((name) => /^[\w-]+\.cjs$/u.test(name));
  const sources = new Map<string, string>();
  for (const name of names) sources.set(name, await readFile(join(SHIMS, name), 'utf8'));
  const text = oneFile('shim.cjs', sources);
  assert.doesNotMatch(text, /require\(['"`]\.|require\.main|module\.parent/u);
  for (const name of names) if (name !== 'prepare.cjs') assert.ok(text.includes(`'${name}': function`), name);
});
