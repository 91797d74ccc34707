'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { it } = require('node:test');
const { ModuleLoader, addModulePaths } = require('./module-loader.cjs');

/** A code package and a layer beside it, as files by their names. */
function writeFiles(t, files) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-loader-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries({ 'code/package.json': '{}', ...files })) {
    fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    fs.writeFileSync(path.join(directory, name), text);
  }
  return { codePath: path.join(directory, 'code'), layerPath: path.join(directory, 'opt') };
}

it('finds the packages of layers', async (t) => {
  const { codePath, layerPath } = writeFiles(t, {
    'opt/nodejs/node_modules/layered/index.js': "module.exports = 'from the layer';",
    'code/index.js': "const layered = require('layered'); exports.handler = () => layered;",
  });
  const pathBefore = process.env.NODE_PATH;
  t.after(() => {
    if (pathBefore === undefined) delete process.env.NODE_PATH;
    else process.env.NODE_PATH = pathBefore;
  });
  addModulePaths(layerPath, codePath);
  assert.equal((await new ModuleLoader(codePath).load('index.handler'))(), 'from the layer');
});

it('loads a module once for all its names', async (t) => {
  const { codePath } = writeFiles(t, {
    'code/index.mjs': 'const one = {}; export const a = () => one; export const b = () => one;',
  });
  const loader = new ModuleLoader(codePath);
  assert.equal((await loader.load('index.a'))(), (await loader.load('index.b'))());
});

it('takes the index of a directory, and the file of that name before it', async (t) => {
  const { codePath } = writeFiles(t, {
    'code/app/index.cjs': "exports.handler = () => 'directory';",
    'code/both/index.js': "exports.handler = () => 'directory';",
    'code/both.js': "exports.handler = () => 'file';",
  });
  const loader = new ModuleLoader(codePath);
  assert.equal((await loader.load('app.handler'))(), 'directory');
  assert.equal((await loader.load('both.handler'))(), 'file');
});

for (const handler of ['index', 'index.', '.handler', '']) {
  it(`refuses the handler '${handler}'`, async () => {
    await assert.rejects(new ModuleLoader(os.tmpdir()).load(handler), { name: 'HandlerNotFound' });
  });
}

it('takes what a CommonJS module exports as its default', async (t) => {
  const { codePath } = writeFiles(t, { 'code/app.js': "module.exports = () => 'the app';" });
  assert.equal((await new ModuleLoader(codePath).load('app.default'))(), 'the app');
});

it('says what it found where the default is no function', async (t) => {
  const { codePath } = writeFiles(t, { 'code/app.js': 'exports.handler = () => 1;' });
  await assert.rejects(new ModuleLoader(codePath).load('app.default'), { name: 'HandlerNotFound' });
});
