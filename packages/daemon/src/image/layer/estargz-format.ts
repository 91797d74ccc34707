import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ByteReader } from './byte-reader.ts';
import type { LayerFormat, TocPlace } from './layer-format.ts';
import { TAR_BLOCK } from './tar-header.ts';
import { nextTarEntry, paddingOf } from './tar-reader.ts';
import { TOC_NAME } from './toc.ts';

/**
 * The last 51 bytes of an eStargz blob: an empty gzip member whose extra field ("SG") tells where the member with the
 * table of contents begins.
 */
const FOOTER_BYTES = 51;
const HEADER = Buffer.from('1f8b08040000000000ff1a0053471600', 'hex');
/** One final stored block of no bytes, its checksum and its length. */
const EMPTY_BODY = Buffer.from('010000ffff0000000000000000', 'hex');
const MARK = 'STARGZ';
const COMPRESSION_LEVEL = 6;
const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);

/** Gzip members, the table of contents as the tar's last file (containerd/stargz-snapshotter, docs/estargz.md). */
export const estargz: LayerFormat = {
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  pack: (bytes) => gzipAsync(bytes, { level: COMPRESSION_LEVEL }),
  tarEnd: (toc) =>
    Buffer.concat([tocHeader(toc.length), toc, Buffer.alloc(paddingOf(toc.length) + 2 * TAR_BLOCK)]),
  blobEnd: (_toc, { start }) => Promise.resolve(footer(start)),
  findToc(lastBytes, size) {
    const start = tocOffsetOf(lastBytes.subarray(-FOOTER_BYTES));
    if (start === undefined) return undefined;
    return { start, end: size - FOOTER_BYTES, chunksEnd: start, unpack: tocIn } satisfies TocPlace;
  },
};

export function footer(tocOffset: number): Buffer {
  return Buffer.concat([
    HEADER,
    Buffer.from(tocOffset.toString(16).padStart(16, '0') + MARK, 'latin1'),
    EMPTY_BODY,
  ]);
}

/** Where the table of contents begins, or undefined when these bytes end no eStargz blob. */
export function tocOffsetOf(lastBytes: Buffer): number | undefined {
  if (lastBytes.length !== FOOTER_BYTES) return undefined;
  const text = lastBytes.toString('latin1', 16, 38);
  if (lastBytes.readUInt16BE(0) !== 0x1f8b || lastBytes.toString('latin1', 12, 14) !== 'SG') return undefined;
  const match = /^([0-9a-f]{16})STARGZ$/u.exec(text);
  const offset = match === null ? Number.NaN : Number.parseInt(match[1] ?? '', 16);
  return Number.isSafeInteger(offset) ? offset : undefined;
}

async function tocIn(packed: Buffer, bytesMax: number): Promise<Buffer> {
  const tar = await gunzipAsync(packed, { maxOutputLength: bytesMax });
  const reader = new ByteReader(single(tar), 'the table of contents of a layer');
  const entry = await nextTarEntry(reader, new Map());
  if (entry?.path !== TOC_NAME)
    throw new ThawError(
      'INVALID_IMAGE',
      'a layer that calls itself eStargz has no table of contents at its end',
    );
  return reader.require(entry.size);
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes);
}

/** A plain POSIX header for a file of root's; its size fits in octal digits. */
function tocHeader(size: number): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(TOC_NAME, 0, 'latin1');
  block.write('0000444\0', 100, 'latin1');
  block.write('0000000\0', 108, 'latin1');
  block.write('0000000\0', 116, 'latin1');
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  block.write(`${'0'.repeat(11)}\0`, 136, 'latin1');
  block.write(' '.repeat(8), 148, 'latin1');
  block.write('0', 156, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
