import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LIMITS } from '@thaw/protocol/limits.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PAGE = readFileSync(join(ROOT, 'docs/SPECIFICATION.md'), 'utf8');

test('every promise names tests that exist', () => {
  const [promises = ''] = PAGE.split('## Limits');
  const named = [...promises.matchAll(/`([^`]+\.ts)`/g)].map(([, path = '']) => path);
  assert.ok(named.length > 0);
  assert.deepEqual(
    named.filter((path) => !existsSync(join(ROOT, path))),
    [],
  );
});

test('every limit is documented with its value', () => {
  const rows = [...PAGE.matchAll(/^\| `(\w+)`\s*\|\s*(\d+)\s*\|/gm)];
  const documented = Object.fromEntries(rows.map(([, name = '', value]) => [name, Number(value)]));
  assert.deepEqual(documented, { ...LIMITS });
});
