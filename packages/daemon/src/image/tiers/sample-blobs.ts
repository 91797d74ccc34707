import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { ChunkRef } from '../chunks/chunk-ref.ts';
import type { ChunkBlob } from './blob-tier.ts';

/** A layer's blob in memory that counts what is asked of it; for tests and simulations. */
export interface SampleBlob extends ChunkBlob {
  readonly bytes: Buffer;
  readonly chunks: readonly ChunkRef[];
  /** Plain bytes by digest. */
  readonly plain: ReadonlyMap<string, Buffer>;
  requests: number;
  requestedBytes: number;
  /** Thrown by every request while it is set. */
  failure: Error | undefined;
}

/** A blob of so many chunks, each a gzip member of its own. */
export function sampleBlob(
  count: number,
  sizeOf: (index: number) => number = () => 10_000,
  seed = 'sample',
): SampleBlob {
  const members: Buffer[] = [];
  const plain = new Map<string, Buffer>();
  const places: Omit<ChunkRef, 'blob'>[] = [];
  let blobOffset = 0;
  for (let index = 0; index < count; index += 1) {
    // Half of it can be compressed, as with most files.
    const bytes = Buffer.concat([
      noise(`${seed} ${index}`, Math.ceil(sizeOf(index) / 2)),
      Buffer.alloc(Math.floor(sizeOf(index) / 2)),
    ]);
    const member = gzipSync(bytes, { level: 1 });
    const digest = sha256(bytes);
    plain.set(digest, bytes);
    places.push({ digest, size: bytes.length, blobOffset, blobLength: member.length });
    members.push(member);
    blobOffset += member.length;
  }
  const bytes = Buffer.concat(members);
  const name = `sha256:${sha256(bytes)}`;
  const blob: SampleBlob = {
    bytes,
    chunks: places.map((place) => ({ ...place, blob: name })),
    plain,
    requests: 0,
    requestedBytes: 0,
    failure: undefined,
    async *read(start, ends) {
      blob.requests += 1;
      if (blob.failure !== undefined) throw blob.failure;
      let from = start;
      for (const end of ends) {
        blob.requestedBytes += end - from;
        yield await Promise.resolve(new Uint8Array(bytes.subarray(from, end)));
        from = end;
      }
    },
  };
  return blob;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Bytes that cannot be compressed, the same in every run, so that what depends on digests does too. */
function noise(seed: string, length: number): Buffer {
  return length === 0
    ? Buffer.alloc(0)
    : createHash('shake256', { outputLength: length }).update(seed).digest();
}
