import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { exitError, type ExitPhase } from '../exit-error.ts';
import { isSuspect } from './prepared-code.ts';

function diedIn(phase: ExitPhase): ThawError {
  return exitError('one', 512, phase, { code: null, signal: 'SIGABRT', outOfMemory: false }, '');
}

test('what is prepared is suspected where it is read: with the code, and by a virtual machine that boots', () => {
  for (const family of ['nodejs', 'python3', 'java'] as const) {
    assert.ok(isSuspect({ family }, diedIn('load')), family);
    assert.equal(isSuspect({ family }, diedIn('boot')), family === 'java', family);
    for (const phase of ['initializer', 'invocation'] as const)
      assert.ok(!isSuspect({ family }, diedIn(phase)), `${family} ${phase}`);
  }
});

test('a sandbox that could not be made says nothing of it', () => {
  assert.ok(!isSuspect({ family: 'java' }, new ThawError('SANDBOX_FAILED', 'no cgroup')));
});
