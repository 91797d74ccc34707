import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { readZoneFile } from './zone-file.ts';

test('a zone file names this node, all nodes and a secret', async (t) => {
  const path = join(await temporaryDirectory(t), 'zone.json');
  const zone = {
    self: 'http://10.0.0.1:9701',
    nodes: ['http://10.0.0.1:9701', 'http://10.0.0.2:9701'],
    secret: 's'.repeat(16),
  };
  writeFileSync(path, JSON.stringify(zone));
  assert.deepEqual(readZoneFile(path), zone);
  for (const wrong of [
    '{',
    '{}',
    JSON.stringify({ ...zone, secret: 'short' }),
    JSON.stringify({ ...zone, self: 'http://10.0.0.3:9701' }),
    JSON.stringify({ ...zone, self: 'https://10.0.0.1:9701' }),
  ]) {
    writeFileSync(path, wrong);
    assert.throws(
      () => readZoneFile(path),
      (error: unknown) => error instanceof ThawError && error.code === 'INVALID_ARGUMENT',
      wrong,
    );
  }
});
