import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ERROR_TRAITS } from './error-code.ts';

const PAGE = join(import.meta.dirname, '../../../docs/ERRORS.md');
const ROW = /^\| `([A-Z_]+)`\s*\|\s*(\w+)\s*\|\s*(\d+)\s*\|\s*(yes|no)\s*\|/gm;

test('docs/ERRORS.md has every code with its fault, status and whether to try again', () => {
  const rows = [...readFileSync(PAGE, 'utf8').matchAll(ROW)];
  const documented = rows.map(([, code, fault, status, again]) => ({ code, fault, status, again }));
  const expected = Object.entries(ERROR_TRAITS).map(([code, { fault, status, retryable }]) => ({
    code,
    fault,
    status: String(status),
    again: retryable ? 'yes' : 'no',
  }));
  assert.deepEqual(documented, expected);
});
