import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../../..');
const DAEMON = join(ROOT, 'packages/daemon/src');

/** From the lowest up. A folder imports itself and what stands below it; `daemon.ts` and `main.ts` stand on top. */
const LAYERS = [
  'base',
  'model',
  'telemetry',
  'store',
  'code',
  'image',
  'sandbox',
  'transport',
  'instance',
  'scheduler',
  'invocation',
  'catalog',
  'trigger',
  'gateway',
  'doors',
];

/** What each package may import of the others. Tests may use the test kit besides. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  daemon: ['protocol'],
  // `thaw serve` starts the daemon; every other command talks to it through its API alone.
  cli: ['protocol', 'daemon/main.ts'],
  testkit: ['protocol', 'daemon'],
};

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

test('no folder of the daemon imports what stands above it, and no door another door', () => {
  const wrong: string[] = [];
  for (const file of globSync('**/*.ts', { cwd: DAEMON })) {
    const [layer = '', door] = file.split('/');
    const height = LAYERS.indexOf(layer);
    if (!file.includes('/')) continue;
    assert.notEqual(height, -1, `${file} is in a folder that has no place among the layers`);
    for (const specifier of importsOf(join(DAEMON, file))) {
      if (!specifier.startsWith('.')) continue;
      const target = relative(DAEMON, join(DAEMON, dirname(file), specifier));
      const [targetLayer = '', targetDoor] = target.split('/');
      if (LAYERS.indexOf(targetLayer) > height || !target.includes('/'))
        wrong.push(`${file} imports ${target}`);
      if (layer === 'doors' && targetLayer === 'doors' && door !== targetDoor)
        wrong.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('packages import only what they may', () => {
  const wrong: string[] = [];
  for (const [name, allowed] of Object.entries(PACKAGES)) {
    for (const file of globSync(`packages/${name}/{src,test}/**/*.ts`, { cwd: ROOT })) {
      const isTest = file.endsWith('.test.ts');
      for (const specifier of importsOf(join(ROOT, file))) {
        if (!specifier.startsWith('@thaw/')) continue;
        const target = specifier.slice('@thaw/'.length);
        const isAllowed = [name, ...allowed, ...(isTest ? ['testkit'] : [])].some(
          (one) => target === one || target.startsWith(`${one}/`),
        );
        if (!isAllowed) wrong.push(`${file} imports ${specifier}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});
