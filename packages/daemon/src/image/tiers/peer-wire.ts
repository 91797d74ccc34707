import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as z from 'zod';
import type { ArrivedChunk, ChunkRef } from '../chunks/chunk-ref.ts';

/**
 * `POST /chunks` between nodes of a zone. The body is JSON, what is wanted; the answer is a stream of chunks, each its
 * digest (32 bytes), its size (4 bytes, little endian) and its plain bytes. A chunk that the peer cannot get is left out.
 */
export const CHUNKS_PATH = '/chunks';
export const CHUNKS_PER_REQUEST_MAX = 4096;
const CHUNK_BYTES_MAX = 16 * 1024 * 1024;
const HEAD_BYTES = 36;

const CHUNK_REF = z.object({
  digest: z.string().regex(/^[0-9a-f]{64}$/u),
  size: z.number().int().min(1).max(CHUNK_BYTES_MAX),
  blob: z.string().regex(/^sha256:[0-9a-f]{64}$/u),
  blobOffset: z.number().int().min(0),
  blobLength: z
    .number()
    .int()
    .min(1)
    .max(2 * CHUNK_BYTES_MAX),
});
const REQUEST = z.object({ chunks: z.array(CHUNK_REF).max(CHUNKS_PER_REQUEST_MAX) });

export function encodeRequest(chunks: readonly ChunkRef[]): string {
  return JSON.stringify({ chunks });
}

/** Throws INVALID_ARGUMENT. */
export function parseRequest(body: unknown): readonly ChunkRef[] {
  const parsed = REQUEST.safeParse(body);
  if (!parsed.success)
    throw new ThawError('INVALID_ARGUMENT', 'this asks for no chunks', { cause: parsed.error });
  return parsed.data.chunks;
}

export function encodeHead({ ref, bytes }: ArrivedChunk): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(ref.digest, 0, 'hex');
  head.writeUInt32LE(bytes.length, 32);
  return head;
}

/** The chunks of an answer to this request; one that was not asked for, or is larger than it may be, breaks it off. */
export async function* decodeAnswer(
  answer: AsyncIterable<Uint8Array>,
  wanted: readonly ChunkRef[],
): AsyncGenerator<ArrivedChunk> {
  const refs = new Map(wanted.map((ref) => [ref.digest, ref]));
  let parts: Buffer[] = [];
  let held = 0;
  let needed = HEAD_BYTES;
  let ref: ChunkRef | undefined;
  for await (const part of answer) {
    parts.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength));
    held += part.length;
    while (held >= needed) {
      const all = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, held);
      const taken = all.subarray(0, needed);
      parts = [all.subarray(needed)];
      held -= needed;
      if (ref === undefined) {
        ref = refs.get(taken.toString('hex', 0, 32));
        if (ref === undefined || taken.readUInt32LE(32) !== ref.size)
          throw new ThawError('REGISTRY_FAILED', 'a peer answered with something that nobody asked for');
        needed = ref.size;
      } else {
        // A copy of its own: a slice would keep the whole answer in memory.
        yield { ref, bytes: Buffer.from(taken) };
        ref = undefined;
        needed = HEAD_BYTES;
      }
    }
  }
}
