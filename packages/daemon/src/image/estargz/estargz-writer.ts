import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { constants, gzip } from 'node:zlib';
import { footer } from './estargz-footer.ts';
import type { LayerChunk, LayerEntry } from './layer-entry.ts';
import { TOC_NAME, tocEntries } from './toc.ts';
import { TAR_BLOCK } from './tar-header.ts';
import { paddingOf } from './tar-reader.ts';

/** Compressions that run side by side: as many as there are threads for them. */
const MEMBERS_AT_ONCE = 4;
const COMPRESSION_LEVEL = 6;
/** Headers of empty files and the like that are held back to be compressed together. */
const BETWEEN_BYTES_MAX = 512 * 1024;

export interface WrittenLayer {
  /** `sha256:<hex>` of the blob and of the tar in it. */
  readonly digest: string;
  readonly diffId: string;
  readonly size: number;
  readonly tocDigest: string;
}

interface Member {
  readonly packed: Promise<Buffer>;
  readonly onWritten: (offset: number, length: number) => void;
}

/**
 * Writes an eStargz blob to a file that is empty: each chunk of a file is a gzip member of its own, everything between
 * them (headers and padding, byte for byte those of the original tar) stands in members between. All members together
 * are one gzip file, which any runtime unpacks.
 */
export class EstargzWriter {
  readonly #file: FileHandle;
  readonly #pending: Member[] = [];
  readonly #blobHash = createHash('sha256');
  readonly #tarHash = createHash('sha256');
  #between: Buffer[] = [];
  #betweenBytes = 0;
  #size = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Headers and padding. */
  async addBetween(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    this.#between.push(bytes);
    this.#betweenBytes += bytes.length;
    if (this.#betweenBytes >= BETWEEN_BYTES_MAX) await this.#flushBetween();
  }

  /** One chunk of a file; where it came to stand is told later, in order, at the latest by `finish`. */
  async addChunk(
    bytes: Buffer,
    onWritten: (place: Pick<LayerChunk, 'blobOffset' | 'blobLength'>) => void,
  ): Promise<void> {
    await this.#flushBetween();
    await this.#add(bytes, (blobOffset, blobLength) => onWritten({ blobOffset, blobLength }));
  }

  /** Ends the tar with the table of contents, which is made when the places of all chunks are known. */
  async finish(entries: () => readonly LayerEntry[]): Promise<WrittenLayer> {
    await this.#flushBetween();
    await this.#drain(0);
    const toc = Buffer.from(
      JSON.stringify({ version: 1, entries: entries().flatMap((entry) => tocEntries(entry)) }),
    );
    const tocOffset = this.#size;
    const end = Buffer.alloc(paddingOf(toc.length) + 2 * TAR_BLOCK);
    await this.#add(Buffer.concat([tocHeader(toc.length), toc, end]), () => undefined);
    await this.#drain(0);
    await this.#write(footer(tocOffset));
    return {
      digest: `sha256:${this.#blobHash.digest('hex')}`,
      diffId: `sha256:${this.#tarHash.digest('hex')}`,
      size: this.#size,
      tocDigest: `sha256:${createHash('sha256').update(toc).digest('hex')}`,
    };
  }

  /** After a failure: nothing of the pending work may come up as an error that nobody handles. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#pending.splice(0).map(({ packed }) => packed));
  }

  async #flushBetween(): Promise<void> {
    if (this.#between.length === 0) return;
    const bytes = Buffer.concat(this.#between);
    this.#between = [];
    this.#betweenBytes = 0;
    await this.#add(bytes, () => undefined);
  }

  async #add(bytes: Buffer, onWritten: Member['onWritten']): Promise<void> {
    this.#tarHash.update(bytes);
    const packed = pack(bytes);
    packed.catch(() => undefined);
    this.#pending.push({ packed, onWritten });
    await this.#drain(MEMBERS_AT_ONCE - 1);
  }

  async #drain(leave: number): Promise<void> {
    while (this.#pending.length > leave) {
      const [member] = this.#pending;
      assert(member !== undefined);
      const packed = await member.packed;
      this.#pending.shift();
      member.onWritten(this.#size, packed.length);
      await this.#write(packed);
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#blobHash.update(bytes);
    this.#size += bytes.length;
    for (let at = 0; at < bytes.length;) at += (await this.#file.write(bytes, at)).bytesWritten;
  }
}

function pack(bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    gzip(bytes, { level: COMPRESSION_LEVEL, memLevel: constants.Z_DEFAULT_MEMLEVEL }, (error, packed) => {
      if (error === null) resolve(packed);
      else reject(error);
    });
  });
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
