'use strict';
/** V8's compile cache that was prepared for this function (docs/RUNTIMES.md, prepared code). */
const { mkdirSync, readdirSync, symlinkSync } = require('node:fs');
const Module = require('node:module');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

/**
 * Node looks below the cache's directory for one that is named after its version, V8's flags and the user, and every
 * sandbox has a user of its own: the prepared one gets this one's name by a link. Without it the code is just compiled.
 */
function useCompileCache(directory) {
  if (directory === undefined || Module.enableCompileCache === undefined) return;
  try {
    const [prepared] = readdirSync(directory);
    const named = join(tmpdir(), '.compile-cache');
    mkdirSync(named);
    symlinkSync(join(directory, prepared), join(named, `${prepared}-${process.getuid()}`));
    Module.enableCompileCache(named);
  } catch (error) {
    process.stderr.write(`thaw: the prepared code is not used: ${error.message}\n`);
  }
}

module.exports = { useCompileCache };
