import type { Readable } from 'node:stream';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Everything that a stream gives, up to a bound. Throws what `tooLarge` says. */
export async function collectBytes(
  stream: Readable,
  bytesMax: number,
  tooLarge: () => ThawError,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stream) {
    const buffer: Buffer = part instanceof Buffer ? part : Buffer.from(String(part));
    bytes += buffer.length;
    if (bytes > bytesMax) {
      stream.destroy();
      throw tooLarge();
    }
    parts.push(buffer);
  }
  return Buffer.concat(parts);
}
