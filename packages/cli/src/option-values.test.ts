import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseBytesOrOff,
  parseCount,
  parseDurationMs,
  parseIdleNetworks,
  parsePort,
  parseSpareNetworks,
  parseStems,
  parseWeights,
} from './option-values.ts';

const refused = { code: 'INVALID_ARGUMENT' };

test('durations have units; a bare number is seconds', () => {
  assert.deepEqual(
    ['250ms', '30', '30s', '1.5m', '2h', '1d'].map(parseDurationMs),
    [250, 30_000, 30_000, 90_000, 7_200_000, 86_400_000],
  );
  for (const text of ['', '-1s', 'soon', '1w', '1 s'])
    assert.throws(() => parseDurationMs(text), refused, text);
});

test('ports and counts are whole numbers in their range', () => {
  assert.deepEqual(['0', '65535'].map(parsePort), [0, 65_535]);
  for (const text of ['65536', '-1', '', '80a']) assert.throws(() => parsePort(text), refused, text);
  assert.equal(parseCount('7'), 7);
  for (const text of ['0', '1.5', '', 'x']) assert.throws(() => parseCount(text), refused, text);
});

test('what can be switched off takes off for 0, and no more than there can be', () => {
  assert.deepEqual(['off', '0', '32'].map(parseStems), [0, 0, 32]);
  assert.deepEqual(['off', '0', '256'].map(parseSpareNetworks), [0, 0, 256]);
  assert.deepEqual(['off', '256'].map(parseIdleNetworks), [0, 256]);
  assert.deepEqual(['off', '0', '1K'].map(parseBytesOrOff), [0, 0, 1024]);
  for (const text of ['on', '-1', '', '257']) assert.throws(() => parseSpareNetworks(text), refused, text);
  assert.throws(() => parseStems('33'), refused);
  assert.throws(() => parseBytesOrOff('on'), refused);
});

test('weights are shares by version', () => {
  assert.deepEqual(parseWeights(['3=0.2,4=0.1', '5=0']), { 3: 0.2, 4: 0.1, 5: 0 });
  for (const text of ['3', '3=', '3=1.1', 'LATEST=0.1', '=0.1', '3=x']) {
    assert.throws(() => parseWeights([text]), refused, text);
  }
});
