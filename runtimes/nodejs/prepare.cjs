'use strict';
/**
 * Runs once after a deployment, in a sandbox of the function's own: loads the code as an instance would and writes what
 * V8 made of it to stdout, as docs/RUNTIMES.md says of prepared code. No initializer and no handler is called.
 */
const { mkdtempSync, readFileSync, readdirSync, writeSync } = require('node:fs');
const Module = require('node:module');
const { tmpdir } = require('node:os');
const { basename, join } = require('node:path');
const { ModuleLoader, addModulePaths } = require('./module-loader.cjs');

const STDOUT = 1;
const { codePath, layerPath, handlers } = JSON.parse(process.argv[2]);
// What the code prints while it loads is not for the one who reads the archive.
process.stdout.write = process.stderr.write.bind(process.stderr);

function send(bytes) {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(STDOUT, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function sendFile(path, bytes) {
  send(Buffer.from(`${JSON.stringify({ path, size: bytes.length })}\n`));
  send(bytes);
}

async function main() {
  // Older Nodes have no cache that can be carried from one process to the next.
  if (Module.enableCompileCache !== undefined && Module.flushCompileCache !== undefined) {
    const cache = mkdtempSync(join(tmpdir(), 'cache-'));
    Module.enableCompileCache(cache);
    process.chdir(codePath);
    addModulePaths(layerPath, codePath);
    const loader = new ModuleLoader(codePath);
    for (const handler of handlers) await loader.load(handler);
    Module.flushCompileCache();
    for (const entry of readdirSync(cache, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      // Each instance has a user of its own, and the directory's name ends with the user's id.
      const kind = basename(entry.parentPath).replace(/-\d+$/, '');
      sendFile(`cache/${kind}/${entry.name}`, readFileSync(join(entry.parentPath, entry.name)));
    }
  }
  send(Buffer.from('{"end":true}\n'));
  // Timers and sockets that the code has opened do not matter any more.
  process.exit(0);
}

main().catch((error) => {
  process.stderr.write(`${error?.stack ?? error}\n`);
  process.exit(1);
});
