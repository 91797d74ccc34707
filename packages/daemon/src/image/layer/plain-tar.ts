import { Readable, pipeline } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

const READ_BYTES = 256 * 1024;

/**
 * The tar inside a layer's blob, whatever it is compressed with: told by its first bytes, since media types in the
 * field are often wrong. A stream that cannot be unpacked fails with INVALID_IMAGE; what the blob's own stream fails
 * with is passed on.
 */
export async function* plainTar(blob: Readable): AsyncGenerator<Buffer> {
  const chunks = blob[Symbol.asyncIterator]();
  const head: Buffer[] = [];
  try {
    while (Buffer.concat(head).length < 4) {
      const next = await chunks.next();
      if (next.done === true) break;
      head.push(Buffer.from(next.value));
    }
    const magic = Buffer.concat(head).subarray(0, 4);
    const again = Readable.from(rejoin(head, chunks), { objectMode: false, highWaterMark: READ_BYTES });
    const unpack =
      magic.readUInt16BE() === 0x1f8b
        ? createGunzip({ chunkSize: READ_BYTES })
        : magic.readUInt32LE() === 0xfd2fb528
          ? createZstdDecompress({ chunkSize: READ_BYTES })
          : undefined;
    if (unpack === undefined) {
      yield* again;
      return;
    }
    // The error comes out of the iteration; the callback only keeps it from being thrown at nobody.
    yield* pipeline(again, unpack, () => undefined);
  } catch (error) {
    if (error instanceof ThawError) throw error;
    throw new ThawError('INVALID_IMAGE', 'a layer cannot be unpacked', { cause: error });
  } finally {
    blob.destroy();
  }
}

async function* rejoin(head: readonly Buffer[], rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield* head;
  for (;;) {
    const next = await rest.next();
    if (next.done === true) return;
    yield next.value;
  }
}
