import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { simulateZone } from './simulate-zone.ts';

test('100 nodes with 10 instances each cost the registry a hundredth of pulling the image on every node', async (t) => {
  const setting = { nodes: 100, instancesPerNode: 10, chunks: 150, touchedShare: 0.2 };
  const directory = await temporaryDirectory(t);
  const result = await simulateZone({
    ...setting,
    directory,
    chunkBytes: (index) => 2000 + (index % 7) * 500,
  });
  const { imageBytes, registryBytes, served } = result;
  const pulling = setting.nodes * imageBytes;
  assert.ok(pulling >= 100 * registryBytes, `${pulling} against ${registryBytes}`);
  const all = Object.values(served).reduce((sum, bytes) => sum + bytes, 0);
  const beforeRegistry = all - served.registry;
  assert.ok(beforeRegistry > 0.9 * all, JSON.stringify(served));
  // Of ten instances on a node nine find what the first one read.
  assert.equal(served.memory, all * 0.9);
});
