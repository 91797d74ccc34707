import { createHash, type Hash } from 'node:crypto';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ObjectChecksum } from '../../store/objects.ts';
import {
  CHECKSUM_ALGORITHMS,
  checksumHeader,
  startChecksum,
  type ChecksumAlgorithm,
  type RunningChecksum,
} from './checksum.ts';
import type { S3Request } from './s3-request.ts';

/** Of no bytes: what a signer that does not know the body yet puts into a presigned address. */
const CRC32_OF_NOTHING = 'AAAAAA==';

/** The digests that a client promised of a body, in its head or in its trailers. */
export interface ExpectedDigests {
  readonly onTrailer: (name: string, value: string) => void;
  readonly update: (chunk: Uint8Array) => void;
  /** Throws CHECKSUM_MISMATCH, BODY_TRUNCATED where a promised trailer did not come. */
  readonly require: () => void;
  /** After `require`: the checksum that held. */
  readonly checksum: () => ObjectChecksum | undefined;
}

/** Throws INVALID_ARGUMENT for a digest of a kind that is not known. */
export function expectedDigests({
  headers,
  authentication,
}: Pick<S3Request, 'headers' | 'authentication'>): ExpectedDigests {
  const { payload, isPresigned } = authentication.claim;
  const trailer = (headers['x-amz-trailer'] ?? '').trim().toLowerCase();
  const algorithm = CHECKSUM_ALGORITHMS.find(
    (each) => headers[checksumHeader(each)] !== undefined || trailer === checksumHeader(each),
  );
  if (trailer !== '' && algorithm === undefined)
    throw new ThawError('INVALID_ARGUMENT', `the trailer '${trailer}' is not known`);
  const sha256 = isSha256(payload) ? { hash: createHash('sha256'), expected: payload } : undefined;
  const contentMd5 = headers['content-md5'];
  const md5 = contentMd5 === undefined ? undefined : { hash: createHash('md5'), expected: contentMd5 };
  let expected = algorithm === undefined ? undefined : headers[checksumHeader(algorithm)];
  const isPlaceholder = isPresigned && algorithm === 'CRC32' && expected === CRC32_OF_NOTHING;
  const checksum = algorithm === undefined || isPlaceholder ? undefined : started(algorithm);
  return {
    onTrailer: (name, value) => {
      if (algorithm !== undefined && name === checksumHeader(algorithm)) expected = value;
    },
    update: (chunk) => {
      sha256?.hash.update(chunk);
      md5?.hash.update(chunk);
      checksum?.running.update(chunk);
    },
    require: () => {
      requireDigest(sha256, 'hex', 'x-amz-content-sha256', 'XAmzContentSHA256Mismatch');
      requireDigest(md5, 'base64', 'Content-MD5', 'BadDigest');
      if (checksum === undefined) return;
      if (expected === undefined)
        throw new ThawError('BODY_TRUNCATED', `the trailer '${trailer}' did not come`);
      checksum.value = checksum.running.value();
      if (checksum.value !== expected) throw mismatch(checksumHeader(checksum.algorithm), 'BadDigest');
    },
    checksum: () =>
      checksum === undefined ? undefined : { algorithm: checksum.algorithm, value: checksum.value },
  };
}

/** The same bytes; throws at their end where they are not the promised ones. */
export async function* checkedBody(
  source: AsyncIterable<Uint8Array>,
  digests: ExpectedDigests,
  declared: string | undefined,
): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    digests.update(chunk);
    yield chunk;
  }
  if (declared !== undefined && size !== Number(declared)) {
    throw new ThawError('BODY_TRUNCATED', `the body has ${size} bytes and not ${declared} as announced`);
  }
  digests.require();
}

interface Started {
  readonly algorithm: ChecksumAlgorithm;
  readonly running: RunningChecksum;
  value: string;
}

function started(algorithm: ChecksumAlgorithm): Started {
  return { algorithm, running: startChecksum(algorithm), value: '' };
}

function isSha256(payload: string): boolean {
  return /^[0-9a-f]{64}$/.test(payload);
}

function requireDigest(
  digest: { readonly hash: Hash; readonly expected: string } | undefined,
  encoding: 'hex' | 'base64',
  header: string,
  s3Code: string,
): void {
  if (digest !== undefined && digest.hash.digest(encoding) !== digest.expected)
    throw mismatch(header, s3Code);
}

function mismatch(header: string, s3Code: string): ThawError {
  return new ThawError('CHECKSUM_MISMATCH', `the body is not the one that ${header} was made of`, {
    details: { s3Code },
  });
}
