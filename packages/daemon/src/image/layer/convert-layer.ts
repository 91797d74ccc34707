import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ByteReader } from './byte-reader.ts';
import type { LayerChunk, LayerEntry } from './layer-entry.ts';
import type { LayerFormat } from './layer-format.ts';
import { LayerWriter, type WrittenLayer } from './layer-writer.ts';
import { nextTarEntry, paddingOf } from './tar-reader.ts';

/** Of a file; large ones are read and fetched in pieces of this size, none of which two files share. */
export const CHUNK_BYTES_MAX = 512 * 1024;

export interface LayerLimits {
  readonly unpackedBytesMax: number;
  readonly entriesMax: number;
}

export const DEFAULT_LAYER_LIMITS: LayerLimits = {
  unpackedBytesMax: 64 * 1024 ** 3,
  entriesMax: 2_000_000,
};

export interface ConvertedLayer extends WrittenLayer {
  readonly entries: readonly LayerEntry[];
}

/**
 * Writes a layer again in this format into an empty file. The source is the plain tar; whoever gives it checks its digest
 * when it has ended. Throws INVALID_IMAGE for what no honest image has and IMAGE_TOO_LARGE
 * for a bomb, before anything of it could take effect.
 */
export async function convertLayer(
  source: AsyncIterable<Buffer>,
  file: FileHandle,
  format: LayerFormat,
  limits: LayerLimits = DEFAULT_LAYER_LIMITS,
): Promise<ConvertedLayer> {
  const reader = new ByteReader(source, 'a layer');
  const writer = new LayerWriter(file, format);
  const entries: LayerEntry[] = [];
  const globals = new Map<string, Buffer>();
  try {
    for (;;) {
      const entry = await nextTarEntry(reader, globals);
      if (entry === undefined) break;
      if (entries.length >= limits.entriesMax) throw bomb(`more than ${limits.entriesMax} entries`);
      if (reader.position + entry.size > limits.unpackedBytesMax)
        throw bomb(`more than ${limits.unpackedBytesMax} bytes`);
      await writer.addBetween(entry.header);
      const chunks = await copyBody(reader, writer, entry.size);
      if (entry.kind === 'leftOut') continue;
      const { path, kind, mode, uid, gid, mtimeNs, size, linkTarget, xattrs } = entry;
      entries.push({ path, kind, mode, uid, gid, mtimeNs, size, linkTarget, xattrs, chunks });
    }
    // Blocks behind the tar's end are read, so that the source ends, and not kept.
    await drain(reader, limits.unpackedBytesMax);
    const written = await writer.finish(() => entries);
    return { ...written, entries };
  } catch (error) {
    await writer.abandon();
    await reader.close();
    throw error;
  }
}

/** The chunks get their places as they are written, after this has returned. */
async function copyBody(
  reader: ByteReader,
  writer: LayerWriter,
  size: number,
): Promise<readonly LayerChunk[]> {
  const chunks: LayerChunk[] = [];
  for (let fileOffset = 0; fileOffset < size; fileOffset += CHUNK_BYTES_MAX) {
    const bytes = await reader.require(Math.min(CHUNK_BYTES_MAX, size - fileOffset));
    const digest = createHash('sha256').update(bytes).digest('hex');
    await writer.addChunk(bytes, (place) =>
      chunks.push({ fileOffset, size: bytes.length, digest, ...place }),
    );
  }
  await writer.addBetween(await reader.require(paddingOf(size)));
  return chunks;
}

async function drain(reader: ByteReader, bytesMax: number): Promise<void> {
  for (;;) {
    const part = await reader.some(64 * 1024);
    if (part === undefined) return;
    if (reader.position > bytesMax) throw bomb(`more than ${bytesMax} bytes`);
  }
}

function bomb(what: string): ThawError {
  return new ThawError('IMAGE_TOO_LARGE', `a layer holds ${what}, which is refused`);
}
