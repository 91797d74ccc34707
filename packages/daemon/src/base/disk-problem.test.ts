import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from './disk-problem.ts';

test('names what is wrong with the disk, however deep it lies', () => {
  const full = Object.assign(new Error('write'), { code: 'ENOSPC' });
  const error = new ThawError('STORE_FAILED', 'could not write a blob', {
    cause: new Error('x', { cause: full }),
  });
  assert.equal(diskProblem(error), "the platform's disk is full");
  assert.equal(
    diskProblem(Object.assign(new Error('x'), { code: 'EROFS' })),
    "the platform's disk is read-only",
  );
});

test('knows the words of SQLite', () => {
  const full = Object.assign(new Error('database or disk is full'), {
    code: 'ERR_SQLITE_ERROR',
    errcode: 13,
  });
  assert.equal(diskProblem(new Error('x', { cause: full })), "the platform's disk is full");
  const readOnly = Object.assign(new Error('x'), { code: 'ERR_SQLITE_ERROR', errcode: 8 | (4 << 8) });
  assert.equal(diskProblem(readOnly), "the platform's disk is read-only");
});

test('says nothing of other failures', () => {
  assert.equal(diskProblem(new ThawError('STORE_FAILED', 'could not write a blob')), undefined);
  assert.equal(diskProblem(Object.assign(new Error('x'), { code: 'ENOENT' })), undefined);
  const loop = new Error('x');
  loop.cause = loop;
  assert.equal(diskProblem(loop), undefined);
  assert.equal(diskProblem(undefined), undefined);
});
