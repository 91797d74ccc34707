import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { promisify } from 'node:util';

const MODULE = new URL('inherited-descriptors.ts', import.meta.url).href;
/** Prints the descriptors that a program started from here would get. */
const LIST = `(await import('node:child_process')).spawnSync('ls', ['/proc/self/fd'], { stdio: ['ignore', 'inherit', 'inherit'] })`;

const namesIn = (output: string): string[] => output.split('\n').filter((name) => name !== '');

/** 99 lies behind the first gap, and only up to there does Node itself close what it inherited. */
async function descriptorsAfter(script: string): Promise<string[]> {
  const command = 'exec 99</dev/null && exec "$0" --input-type=module -e "$1"';
  const child = spawn('bash', ['-c', command, process.execPath, script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return namesIn(await text(child.stdout));
}

test('what the starter left open reaches no program that is started', async () => {
  assert.ok((await descriptorsAfter(LIST)).includes('99'), 'the test hands a descriptor down');
  const after = await descriptorsAfter(
    `const { closeInheritedDescriptors } = await import(${JSON.stringify(MODULE)});
     closeInheritedDescriptors();
     ${LIST}`,
  );
  assert.deepEqual(after, ['0', '1', '2', '3'], 'and the directory that `ls` reads');
});

test('what Node opened for itself stays', async () => {
  const script = `const { closeInheritedDescriptors } = await import(${JSON.stringify(MODULE)});
    closeInheritedDescriptors();
    await (await import('node:fs/promises')).readFile('/proc/self/stat');
    setTimeout(() => console.log('alive'), 1);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  assert.equal(stdout, 'alive\n');
});
