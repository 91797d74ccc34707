import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { describeFunctionError } from './function-error.ts';
import { Output } from './output.ts';

function describe(body: string): string[] {
  const lines = describeFunctionError(
    new Output({ json: false }),
    'f',
    'UnhandledInvocationError',
    Buffer.from(body),
  );
  return lines.map((line) => stripVTControlCharacters(line));
}

const HEADLINE = 'function error: f failed (UnhandledInvocationError)';

test("shows Node's and Python's stacks, and text that is no report as it is", () => {
  const node = {
    errorType: 'TypeError',
    errorMessage: 'no',
    stackTrace: ['TypeError: no', '    at a.js:1:2'],
  };
  assert.deepEqual(describe(JSON.stringify(node)), [HEADLINE, '  TypeError: no', '    at a.js:1:2']);
  const python = {
    errorType: 'KeyError',
    errorMessage: "'x'",
    stackTrace: [['File "i.py"', 'line 2', 'in h', 'd[x]']],
  };
  assert.deepEqual(describe(JSON.stringify(python)), [
    HEADLINE,
    "  KeyError: 'x'",
    '    File "i.py", line 2, in h, d[x]',
  ]);
  assert.deepEqual(describe('plain'), [HEADLINE, 'plain']);
  assert.deepEqual(describe(''), [HEADLINE]);
});
