'use strict';
/* oxlint-disable no-underscore-dangle -- Node names so what a subclass replaces and what it has no other way to. */
/** Finds and loads the user's functions: `dir/file.name` is the export `name` of `dir/file` in the code package. */
const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { LoadError } = require('./function-error.cjs');

const EXTENSIONS = ['.js', '.cjs', '.mjs'];
/** What `require` throws for a module that only `import` can load, by Node version. */
const IMPORT_ONLY_CODES = new Set(['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE']);

class ModuleLoader {
  constructor(codePath) {
    this.codePath = codePath;
    this.modules = new Map();
  }

  /**
   * @returns a function that calls the export with its module as `this`-less function, or an app object's own callable
   * @throws {LoadError} or whatever the module throws
   */
  async load(handler) {
    const dot = handler.lastIndexOf('.');
    if (dot <= 0 || dot === handler.length - 1) {
      throw new LoadError('HandlerNotFound', `the handler '${handler}' does not have the form 'file.name'`);
    }
    const moduleName = handler.slice(0, dot);
    const name = handler.slice(dot + 1);
    const exported = findExport(await this.loadModule(moduleName), name);
    if (typeof exported !== 'function') {
      const found =
        exported === undefined ? 'has no such export' : `exports a ${typeof exported} by that name`;
      throw new LoadError(
        'HandlerNotFound',
        `the handler '${handler}' is not there: '${moduleName}' ${found}`,
      );
    }
    return exported;
  }

  async loadModule(moduleName) {
    const loaded = this.modules.get(moduleName);
    if (loaded !== undefined) return loaded;
    const file = this.requireFile(moduleName);
    const exports = isEsm(file) ? await importFile(file) : await requireOrImport(file);
    this.modules.set(moduleName, exports);
    return exports;
  }

  requireFile(moduleName) {
    const base = path.resolve(this.codePath, moduleName);
    for (const candidate of [base, path.join(base, 'index')]) {
      for (const extension of EXTENSIONS) {
        if (fs.existsSync(candidate + extension)) return candidate + extension;
      }
    }
    const tried = EXTENSIONS.map((extension) => moduleName + extension).join(', ');
    throw new LoadError('ModuleNotFound', `the code package has none of ${tried}`);
  }
}

/** What `import` calls `default` is, for a CommonJS module, everything that it exports: an Express app, for one. */
function findExport(exports, name) {
  if (exports === null || exports === undefined) return undefined;
  const found = exports[name] ?? exports.default?.[name];
  return found === undefined && name === 'default' ? exports : found;
}

async function requireOrImport(file) {
  try {
    return require(file);
  } catch (error) {
    if (IMPORT_ONLY_CODES.has(error?.code)) return importFile(file);
    throw error;
  }
}

function importFile(file) {
  return import(pathToFileURL(file).href);
}

/** Node's rule: the extension decides, and for `.js` the `type` of the nearest package.json. */
function isEsm(file) {
  if (!file.endsWith('.js')) return file.endsWith('.mjs');
  for (let directory = path.dirname(file); ; directory = path.dirname(directory)) {
    const manifest = readManifest(path.join(directory, 'package.json'));
    if (manifest !== undefined) return manifest?.type === 'module';
    if (directory === path.dirname(directory) || path.basename(directory) === 'node_modules') return false;
  }
}

function readManifest(file) {
  let text;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  return JSON.parse(text);
}

/** Lets `require` find the packages of the layers, and of the code for modules that live elsewhere. */
function addModulePaths(layerPath, codePath) {
  const paths = [
    ...(process.env.NODE_PATH ?? '').split(path.delimiter).filter((entry) => entry !== ''),
    path.join(layerPath, 'nodejs', 'node_modules'),
    path.join(codePath, 'node_modules'),
  ];
  process.env.NODE_PATH = [...new Set(paths)].join(path.delimiter);
  Module._initPaths();
}

module.exports = { ModuleLoader, addModulePaths };
