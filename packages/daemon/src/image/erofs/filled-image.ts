import { gunzipSync } from 'node:zlib';
import type { Skeleton } from './write-skeleton.ts';

/** The whole file system with every file's bytes in place: what a lazily served image looks like when all of it was read. */
export function filledImage({ bytes, size, chunks }: Skeleton, blobs: readonly Buffer[]): Buffer {
  const image = Buffer.alloc(size);
  bytes.copy(image);
  for (const chunk of chunks) {
    const packed = blobs[chunk.layer]?.subarray(chunk.blobOffset, chunk.blobOffset + chunk.blobLength);
    if (packed === undefined) throw new Error(`there is no layer ${chunk.layer}`);
    gunzipSync(packed).copy(image, chunk.at, 0, chunk.size);
  }
  return image;
}
