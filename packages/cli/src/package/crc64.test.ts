import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Crc64 } from './crc64.ts';

test('gives the known value, however the bytes are cut', () => {
  const bytes = Buffer.from('123456789');
  assert.equal(new Crc64().update(bytes).digest(), '11051210869376104954');
  assert.equal(
    new Crc64().update(bytes.subarray(0, 4)).update(bytes.subarray(4)).digest(),
    '11051210869376104954',
  );
  assert.equal(new Crc64().digest(), '0');
});
