import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { LayerChunk, LayerEntry } from './layer-entry.ts';
import type { LayerFormat } from './layer-format.ts';
import { tocEntries } from './toc.ts';

/** Compressions that run side by side: as many as there are threads for them. */
const MEMBERS_AT_ONCE = 4;
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
 * Writes a layer's blob to a file that is empty: each chunk of a file is a member of its own, everything between them
 * (headers and padding, byte for byte those of the original tar) stands in members between. All members together are one
 * compressed tar, which any runtime unpacks.
 */
export class LayerWriter {
  readonly #file: FileHandle;
  readonly #format: LayerFormat;
  readonly #pending: Member[] = [];
  readonly #blobHash = createHash('sha256');
  readonly #tarHash = createHash('sha256');
  #between: Buffer[] = [];
  #betweenBytes = 0;
  #size = 0;

  constructor(file: FileHandle, format: LayerFormat) {
    this.#file = file;
    this.#format = format;
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

  /** Ends the blob with the table of contents, which is made when the places of all chunks are known. */
  async finish(entries: () => readonly LayerEntry[]): Promise<WrittenLayer> {
    await this.#flushBetween();
    await this.#drain(0);
    const toc = Buffer.from(
      JSON.stringify({ version: 1, entries: entries().flatMap((entry) => tocEntries(entry)) }),
    );
    const start = this.#size;
    await this.#add(this.#format.tarEnd(toc), () => undefined);
    await this.#drain(0);
    await this.#write(await this.#format.blobEnd(toc, { start, end: this.#size }));
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
    const packed = this.#format.pack(bytes);
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
