import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  acs3Authorization,
  acs3CanonicalRequest,
  acs3HeadersToSign,
  parseAcs3Authorization,
  percentEncode,
} from './acs3.ts';

test('the canonical request spells path, query and headers in one way only', () => {
  const headers = {
    host: 'localhost:8080',
    'x-acs-date': ' 2026-11-20T12:00:00Z ',
    'content-type': 'application/json',
    'x-fc-log-type': 'Tail',
    'x-acs-none': undefined,
  };
  const signedHeaders = acs3HeadersToSign(headers);
  assert.deepEqual(signedHeaders, ['content-type', 'host', 'x-acs-date']);
  const canonical = acs3CanonicalRequest({
    method: 'GET',
    path: '/2023-03-30/a+b*c%7E',
    query: "z&tags=%5B%22a%20b%22%5D&B=it's+%28ok%29&bad=%E0%A4%A",
    headers,
    signedHeaders,
    bodySha256: 'abc',
  });
  assert.equal(
    canonical,
    [
      'GET',
      '/2023-03-30/a%20b%2Ac~',
      'B=it%27s%20%28ok%29&bad=%25E0%25A4%25A&tags=%5B%22a%20b%22%5D&z=',
      'content-type:application/json',
      'host:localhost:8080',
      'x-acs-date:2026-11-20T12:00:00Z',
      '',
      'content-type;host;x-acs-date',
      'abc',
    ].join('\n'),
  );
});

test('an Authorization header is read as it is written, and nothing else is', () => {
  const parts = { accessKeyId: 'AK', signedHeaders: ['host', 'x-acs-date'], signature: '00ff' };
  assert.deepEqual(parseAcs3Authorization(acs3Authorization(parts)), parts);
  const wrong = [
    '',
    'Basic abc',
    'ACS3-HMAC-SHA256',
    'ACS3-HMAC-SHA256 Credential',
    'ACS3-HMAC-SHA256 Credential=a,Signature=b',
    'ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=b',
  ];
  for (const value of wrong) assert.equal(parseAcs3Authorization(value), undefined, value);
});

test('percent-encoding leaves only what RFC 3986 leaves', () => {
  assert.equal(percentEncode("aZ0-_.~!'()*/ü"), 'aZ0-_.~%21%27%28%29%2A%2F%C3%BC');
});
