import assert from 'node:assert/strict';
import { createHmac, hash } from 'node:crypto';
import { test } from 'node:test';
import {
  acs3Authorization,
  acs3CanonicalRequest,
  acs3HeadersToSign,
  acs3StringToSign,
  EMPTY_SHA256,
} from '@thaw/protocol/acs3.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ManualClock } from '../../base/clock.ts';
import { singleAccessKey } from './access-keys.ts';
import { RequestVerifier } from './request-verifier.ts';
import type { SignedRequest } from './signed-request.ts';

const NOW_MS = Date.parse('2026-11-20T12:00:00Z');
const BODY = Buffer.from('{"a":1}');
const clock = new ManualClock(NOW_MS);
const newVerifier = (): RequestVerifier => new RequestVerifier(singleAccessKey('AK', 'SECRET'), clock);

interface Signing {
  readonly secret?: string;
  readonly accessKeyId?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly leaveUnsigned?: string;
}

function signed(signing: Signing = {}): SignedRequest & { headers: Record<string, string | undefined> } {
  const headers: Record<string, string | undefined> = {
    host: '127.0.0.1:8080',
    'content-type': 'application/json',
    'x-acs-action': 'CreateFunction',
    'x-acs-date': '2026-11-20T12:00:00Z',
    'x-acs-signature-nonce': 'n1',
    'x-acs-content-sha256': hash('sha256', BODY),
    accept: 'application/json',
    ...signing.headers,
  };
  const request = { method: 'POST', path: '/2023-03-30/functions', query: 'b=2&a=%5B1%5D' };
  const signedHeaders = acs3HeadersToSign(headers).filter((name) => name !== signing.leaveUnsigned);
  const canonical = acs3CanonicalRequest({
    ...request,
    headers,
    signedHeaders,
    bodySha256: headers['x-acs-content-sha256'] ?? '',
  });
  const signature = createHmac('sha256', signing.secret ?? 'SECRET')
    .update(acs3StringToSign(hash('sha256', canonical)))
    .digest('hex');
  const accessKeyId = signing.accessKeyId ?? 'AK';
  return {
    ...request,
    headers: { ...headers, authorization: acs3Authorization({ accessKeyId, signedHeaders, signature }) },
  };
}

function refuses(request: SignedRequest, code: string, verifier = newVerifier()): void {
  assert.throws(
    () => verifier.verifyAcs3(request),
    (error) => error instanceof ThawError && error.code === code,
    code,
  );
}

test('a whole signature is accepted and its body held against the hash', () => {
  const verifier = newVerifier();
  const head = verifier.verifyAcs3(signed());
  assert.equal(head.accessKeyId, 'AK');
  verifier.requireBody(head, BODY);
  assert.throws(() => verifier.requireBody(head, Buffer.from('{"a":2}')), { code: 'SIGNATURE_INVALID' });
  const empty = signed({ headers: { 'x-acs-content-sha256': EMPTY_SHA256, 'x-acs-signature-nonce': 'n2' } });
  verifier.requireBody(verifier.verifyAcs3(empty), Buffer.alloc(0));
});

test('what is wrong with a signature is told apart', () => {
  refuses({ ...signed(), headers: {} }, 'SIGNATURE_MISSING');
  refuses({ ...signed(), headers: { ...signed().headers, authorization: 'Bearer x' } }, 'SIGNATURE_INVALID');
  refuses(
    { ...signed(), headers: { ...signed().headers, authorization: 'ACS3-HMAC-SHA256 ' } },
    'SIGNATURE_INVALID',
  );
  refuses(signed({ secret: 'WRONG' }), 'SIGNATURE_INVALID');
  refuses(signed({ accessKeyId: 'OTHER' }), 'ACCESS_KEY_UNKNOWN');
  refuses({ ...signed(), method: 'DELETE' }, 'SIGNATURE_INVALID');
  refuses({ ...signed(), path: '/2023-03-30/layers' }, 'SIGNATURE_INVALID');
  refuses({ ...signed(), query: 'a=2' }, 'SIGNATURE_INVALID');
  refuses({ ...signed(), headers: { ...signed().headers, host: 'elsewhere' } }, 'SIGNATURE_INVALID');
  refuses(signed({ headers: { 'x-acs-date': undefined } }), 'MISSING_HEADER');
  refuses(signed({ headers: { 'x-acs-signature-nonce': undefined } }), 'MISSING_HEADER');
  refuses(signed({ headers: { 'x-acs-content-sha256': undefined } }), 'MISSING_HEADER');
  for (const name of [
    'host',
    'x-acs-date',
    'x-acs-signature-nonce',
    'x-acs-content-sha256',
    'content-type',
  ]) {
    refuses(signed({ leaveUnsigned: name }), 'SIGNATURE_INVALID');
  }
  refuses(signed({ headers: { 'x-acs-date': 'yesterday' } }), 'INVALID_ARGUMENT');
});

function at(date: string): SignedRequest {
  return signed({ headers: { 'x-acs-date': date } });
}

test('a request is good for 15 minutes either way', () => {
  newVerifier().verifyAcs3(at('2026-11-20T11:45:00Z'));
  newVerifier().verifyAcs3(at('2026-11-20T12:15:00Z'));
  refuses(at('2026-11-20T11:44:59Z'), 'REQUEST_EXPIRED');
  refuses(at('2026-11-20T12:15:01Z'), 'REQUEST_EXPIRED');
});

test('a nonce is used up by a request that was accepted, and only by one', () => {
  const verifier = newVerifier();
  refuses(signed({ secret: 'WRONG' }), 'SIGNATURE_INVALID', verifier);
  verifier.verifyAcs3(signed());
  refuses(signed(), 'NONCE_REPLAYED', verifier);
  verifier.verifyAcs3(signed({ headers: { 'x-acs-signature-nonce': 'n3' } }));
});

const FC_DATE = 'Fri, 20 Nov 2026 12:00:00 GMT';

function fcSigned(path: string, query: string, text: string): SignedRequest {
  const signature = createHmac('sha256', 'SECRET').update(text).digest('base64');
  const headers = { date: FC_DATE, 'x-fc-b': '2', 'x-fc-a': '1', authorization: `FC AK:${signature}` };
  return { method: 'GET', path, query, headers };
}

test("FC's own signature covers date, x-fc headers, the decoded path and the query", () => {
  const head = `GET\n\n\n${FC_DATE}\nx-fc-a:1\nx-fc-b:2\n`;
  const verifier = newVerifier();
  assert.equal(verifier.verifyFc(fcSigned('/p/a%20b', '', `${head}/p/a b`)), 'AK');
  assert.equal(verifier.verifyFc(fcSigned('/p/', '', `${head}/p/\n`)), 'AK');
  assert.equal(verifier.verifyTrigger(fcSigned('/p/', 'y=2&x=1', `${head}/p/\nx=1\ny=2`)), 'AK');
  const invalid = { code: 'SIGNATURE_INVALID' };
  assert.throws(() => verifier.verifyFc(fcSigned('/p/', 'y=2', `${head}/p/`)), invalid);
  assert.throws(() => verifier.verifyFc(fcSigned('/q/', '', `${head}/p/`)), invalid);
  const old = fcSigned('/p/', '', `${head}/p/`);
  const expired = { ...old, headers: { ...old.headers, date: 'Fri, 20 Nov 2026 11:00:00 GMT' } };
  assert.throws(() => verifier.verifyFc(expired), { code: 'REQUEST_EXPIRED' });
  assert.throws(() => verifier.verifyTrigger({ ...old, headers: {} }), { code: 'SIGNATURE_MISSING' });
});

test('on a trigger ACS3 may leave out nonce and body', () => {
  const request = signed({
    headers: { 'x-acs-content-sha256': undefined, 'x-acs-signature-nonce': undefined, host: undefined },
  });
  assert.equal(newVerifier().verifyTrigger(request), 'AK');
  assert.throws(() => newVerifier().verifyTrigger({ ...request, query: 'c=3' }), {
    code: 'SIGNATURE_INVALID',
  });
});
