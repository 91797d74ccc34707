import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';
import { array, assert as check, asyncProperty, boolean, integer, nat, uint8Array } from 'fast-check';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { readSigV4, verifySigV4 } from '../../gateway/signature/sigv4.ts';
import { decodeAwsChunked, type ChunkSigning } from './aws-chunked.ts';
import { byteRange } from './byte-range.ts';
import { CHECKSUM_ALGORITHMS, startChecksum } from './checksum.ts';
import { readCondition, writeCondition } from './conditions.ts';
import { parseXml, xml } from './xml.ts';

/** The example of Amazon's documentation, "signature calculations for the authorization header", with its own key. */
const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const AT = Date.parse('2013-05-24T00:00:00Z');
const EMPTY = createHash('sha256').update('').digest('hex');

function refusal(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ThawError && error.code === code;
}

test('signatures are those of the published examples', () => {
  const get = {
    method: 'GET',
    path: '/test.txt',
    query: '',
    headers: {
      host: 'examplebucket.s3.amazonaws.com',
      range: 'bytes=0-9',
      'x-amz-content-sha256': EMPTY,
      'x-amz-date': '20130524T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    },
  };
  const claim = readSigV4(get, AT);
  assert.equal(claim.accessKeyId, 'AKIAIOSFODNN7EXAMPLE');
  verifySigV4(get, claim, SECRET);
  assert.throws(() => verifySigV4(get, claim, `${SECRET}x`), refusal('SIGNATURE_INVALID'));
  assert.throws(
    () => verifySigV4({ ...get, path: '/other.txt' }, claim, SECRET),
    refusal('SIGNATURE_INVALID'),
  );
  assert.throws(() => verifySigV4({ ...get, query: 'acl' }, claim, SECRET), refusal('SIGNATURE_INVALID'));
  const changed = { ...get, headers: { ...get.headers, range: 'bytes=0-' } };
  assert.throws(() => verifySigV4(changed, claim, SECRET), refusal('SIGNATURE_INVALID'));
  assert.throws(() => readSigV4(get, AT + 16 * 60_000), refusal('REQUEST_EXPIRED'));
  const added = { ...get, headers: { ...get.headers, 'x-amz-copy-source': '/a/b' } };
  assert.throws(() => readSigV4(added, AT), refusal('SIGNATURE_INVALID'));
  assert.throws(() => readSigV4({ ...get, headers: { host: 'x' } }, AT), refusal('SIGNATURE_MISSING'));

  const list = {
    method: 'GET',
    path: '/',
    query: 'max-keys=2&prefix=J',
    headers: {
      ...get.headers,
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    },
  };
  verifySigV4(list, readSigV4(list, AT), SECRET);

  const presigned = {
    method: 'GET',
    path: '/test.txt',
    query:
      'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    headers: { host: 'examplebucket.s3.amazonaws.com' },
  };
  verifySigV4(presigned, readSigV4(presigned, AT + 86_400_000), SECRET);
  assert.throws(() => readSigV4(presigned, AT + 86_401_000), refusal('REQUEST_EXPIRED'));
});

const SIGNING: ChunkSigning = {
  key: Buffer.from('a signing key'),
  date: '20130524T000000Z',
  scope: '20130524/us-east-1/s3/aws4_request',
  seed: 'f'.repeat(64),
};

/** What a client sends for these chunks, signed or not, with a trailer behind them. */
function chunked(chunks: readonly Buffer[], isSigned: boolean, trailer: string): Buffer {
  let previous = SIGNING.seed;
  const sign = (algorithm: string, covered: string): string => {
    const text = `${algorithm}\n${SIGNING.date}\n${SIGNING.scope}\n${previous}\n${covered}`;
    previous = createHmac('sha256', SIGNING.key).update(text).digest('hex');
    return previous;
  };
  const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
  const pieces: Buffer[] = [];
  for (const chunk of [...chunks.filter(({ length }) => length > 0), Buffer.alloc(0)]) {
    const extension = isSigned
      ? `;chunk-signature=${sign('AWS4-HMAC-SHA256-PAYLOAD', `${EMPTY}\n${sha256(chunk)}`)}`
      : '';
    pieces.push(Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`), chunk);
    if (chunk.length > 0) pieces.push(Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(`x-amz-checksum-crc32:${trailer}\r\n`));
  if (isSigned) {
    const signature = sign('AWS4-HMAC-SHA256-TRAILER', sha256(`x-amz-checksum-crc32:${trailer}\n`));
    pieces.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`));
  }
  return Buffer.concat([...pieces, Buffer.from('\r\n')]);
}

async function* cutInto(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (let n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function decoded(
  bytes: Buffer,
  isSigned: boolean,
  sizes: readonly number[],
): Promise<{ readonly body: Buffer; readonly trailers: readonly string[] }> {
  const trailers: string[] = [];
  const chunks: Buffer[] = [];
  const onTrailer = (name: string, value: string): void => void trailers.push(`${name}=${value}`);
  const source = decodeAwsChunked(cutInto(bytes, sizes), isSigned ? SIGNING : undefined, onTrailer);
  for await (const chunk of source) chunks.push(chunk);
  return { body: Buffer.concat(chunks), trailers };
}

test('chunks come out as they went in, however they are cut, and no changed byte passes', async () => {
  const bytes = uint8Array({ maxLength: 300 }).map((values) => Buffer.from(values));
  const sizes = array(integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 });
  await check(
    asyncProperty(
      array(bytes, { maxLength: 5 }),
      boolean(),
      sizes,
      nat(),
      async (chunks, isSigned, cuts, at) => {
        const sent = chunked(chunks, isSigned, 'AAAAAA==');
        const { body, trailers } = await decoded(sent, isSigned, cuts);
        assert.deepEqual(body, Buffer.concat(chunks));
        assert.deepEqual(trailers, ['x-amz-checksum-crc32=AAAAAA==']);
        await assert.rejects(decoded(sent.subarray(0, sent.indexOf('\r\n') + 1), isSigned, cuts), ThawError);
        if (!isSigned || body.length === 0) return;
        // A byte of what the signatures cover: of the body, not of the frame around it.
        const changed = Buffer.from(sent);
        const first = chunks.find(({ length }) => length > 0) ?? Buffer.alloc(0);
        const place = sent.indexOf('\r\n') + 2 + (at % first.length);
        changed[place] = (changed[place] ?? 0) ^ 1;
        await assert.rejects(decoded(changed, true, cuts), refusal('SIGNATURE_INVALID'));
      },
    ),
    { numRuns: 60 },
  );
});

test('a chunked body that is none is refused', async () => {
  for (const text of [
    '',
    'x\r\n',
    '5\r\nab',
    '2\r\nabXX0\r\n\r\n',
    'a'.repeat(9000),
    '0\r\n\r\nmore',
    'ffffffffff\r\n',
  ])
    await assert.rejects(
      decoded(Buffer.from(text), false, [1000]),
      ThawError,
      JSON.stringify(text.slice(0, 20)),
    );
  const unsigned = chunked([Buffer.from('x')], false, 'AAAAAA==');
  await assert.rejects(decoded(unsigned, true, [1000]), ThawError);
});

test('checksums are those of the published check values', () => {
  const published = {
    CRC32: 'cbf43926',
    CRC32C: 'e3069283',
    CRC64NVME: 'ae8b14860a799888',
    SHA1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
    SHA256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
  };
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const checksum = startChecksum(algorithm);
    for (const part of ['1', '2345', '6789']) checksum.update(Buffer.from(part));
    assert.equal(Buffer.from(checksum.value(), 'base64').toString('hex'), published[algorithm], algorithm);
  }
});

test('ranges', () => {
  const of = (header: string, size = 10): unknown => byteRange(header, size);
  assert.deepEqual(of('bytes=0-0'), { start: 0, end: 1 });
  assert.deepEqual(of('bytes=3-'), { start: 3, end: 10 });
  assert.deepEqual(of('bytes=-3'), { start: 7, end: 10 });
  assert.deepEqual(of('bytes=-30'), { start: 0, end: 10 });
  assert.deepEqual(of('bytes=9-99'), { start: 9, end: 10 });
  for (const header of ['bytes=10-', 'bytes=-0', 'bytes=99-100'])
    assert.equal(of(header), 'unsatisfiable', header);
  assert.equal(of('bytes=0-', 0), 'unsatisfiable');
  for (const header of ['bytes=5-3', 'bytes=-', 'bytes=0-1,3-4', 'items=0-1', 'bytes=a-b', ''])
    assert.equal(of(header), undefined, header);
});

test('conditions, in the order of RFC 9110', () => {
  const object = { etag: 'abc', modifiedMs: Date.parse('2026-01-01T00:00:00.700Z') };
  const at = (offsetMs: number): string => new Date(object.modifiedMs + offsetMs).toUTCString();
  const of = (headers: Record<string, string>): string => readCondition(headers, object);
  assert.equal(of({}), 'ok');
  assert.equal(of({ 'if-match': '"x", "abc"' }), 'ok');
  assert.equal(of({ 'if-match': '*' }), 'ok');
  assert.equal(of({ 'if-match': '"x"' }), 'failed');
  assert.equal(of({ 'if-match': '"abc"', 'if-unmodified-since': at(-5000) }), 'ok');
  assert.equal(of({ 'if-unmodified-since': at(0) }), 'ok');
  assert.equal(of({ 'if-unmodified-since': at(-5000) }), 'failed');
  assert.equal(of({ 'if-none-match': 'W/"abc"' }), 'not modified');
  assert.equal(of({ 'if-none-match': '"x"', 'if-modified-since': at(5000) }), 'ok');
  assert.equal(of({ 'if-modified-since': at(0) }), 'not modified');
  assert.equal(of({ 'if-modified-since': at(-5000) }), 'ok');
  assert.equal(of({ 'if-modified-since': 'no date' }), 'ok');
  const current = {
    bucket: 'b',
    key: 'k',
    size: 1,
    parts: 1,
    attributes: { headers: {}, userMetadata: {} },
    ...object,
  };
  const onlyNew = writeCondition({ 'if-none-match': '*' });
  onlyNew?.(undefined);
  assert.throws(() => onlyNew?.(current), refusal('PRECONDITION_FAILED'));
  const onlySame = writeCondition({ 'if-match': '"abc"' });
  onlySame?.(current);
  assert.throws(() => onlySame?.({ ...current, etag: 'x' }), refusal('PRECONDITION_FAILED'));
  assert.throws(() => onlySame?.(undefined), refusal('OBJECT_NOT_FOUND'));
});

test('XML goes both ways, and none that could grow is read', () => {
  const keys = ['a&b', '<x>', '"quoted"', "it's", ' spaces ', 'ключ😀'];
  const body = xml('Delete', { Object: keys.map((Key) => ({ Key })) }).toString();
  assert.deepEqual(
    parseXml(body, 'Delete')['Object'],
    keys.map((Key) => ({ Key })),
  );
  assert.deepEqual(parseXml('<Delete/>', 'Delete'), {});
  for (const text of [
    '',
    'no xml',
    '<Delete>',
    '<Other/>',
    '<!DOCTYPE x [<!ENTITY a "b">]><Delete>&a;</Delete>',
  ])
    assert.throws(() => parseXml(text, 'Delete'), refusal('INVALID_ARGUMENT'), text);
});
