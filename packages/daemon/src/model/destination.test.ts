import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDestination, type Destination } from './destination.ts';

const known: readonly (readonly [string, Destination])[] = [
  ['acs:fc:cn-hangzhou:123:functions/next', { kind: 'function', functionName: 'next', qualifier: undefined }],
  ['acs:fc:::functions/next/prod', { kind: 'function', functionName: 'next', qualifier: 'prod' }],
  ['acs:mns:local:1:/queues/done/messages', { kind: 'queue', queueName: 'done' }],
  ['queue:done', { kind: 'queue', queueName: 'done' }],
  ['https://example.com/a?b=c', { kind: 'url', url: 'https://example.com/a?b=c' }],
  ['oss:results/of/', { kind: 'object', bucket: 'results', prefix: 'of/' }],
  ['acs:oss:local:1:results', { kind: 'object', bucket: 'results', prefix: '' }],
];

for (const [text, destination] of known) {
  test(`'${text}' is a destination`, () => assert.deepEqual(parseDestination(text), destination));
}

for (const text of [
  'next',
  'queue:',
  'queue:a b',
  'oss:A/b',
  'http://',
  'https://u:p@example.com',
  'ftp://a',
]) {
  test(`'${text}' is none`, () => {
    assert.throws(() => parseDestination(text, 'onSuccess'), { code: 'INVALID_ARGUMENT' });
  });
}
