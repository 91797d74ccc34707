import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { parseExpression } from './expression.ts';

test('reads paths, literals and nested calls', () => {
  assert.deepEqual(parseExpression(" env('A B', 3) "), {
    kind: 'call',
    name: 'env',
    args: [
      { kind: 'literal', value: 'A B' },
      { kind: 'literal', value: 3 },
    ],
  });
  assert.deepEqual(parseExpression("json(file('./a')).b[0]['c']"), {
    kind: 'member',
    name: 'c',
    object: {
      kind: 'member',
      name: '0',
      object: {
        kind: 'member',
        name: 'b',
        object: {
          kind: 'call',
          name: 'json',
          args: [{ kind: 'call', name: 'file', args: [{ kind: 'literal', value: './a' }] }],
        },
      },
    },
  });
});

test('refuses what Serverless Devs has no words for', () => {
  for (const source of [
    '',
    'a +',
    'env(',
    "env('A'",
    'a..b',
    'a b',
    '1 2',
    "'open",
    '('.repeat(50),
    'f('.repeat(99),
  ]) {
    assert.throws(
      () => parseExpression(source),
      (error) => error instanceof ThawError && error.code === 'INVALID_ARGUMENT',
      source,
    );
  }
});
