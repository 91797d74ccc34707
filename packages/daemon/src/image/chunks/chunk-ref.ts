/** A chunk by its content, and which bytes of which layer's blob hold it compressed. */
export interface ChunkRef {
  /** SHA-256 of the plain bytes, in hexadecimal. */
  readonly digest: string;
  readonly size: number;
  /** `sha256:<hex>` of the layer's blob. */
  readonly blob: string;
  readonly blobOffset: number;
  readonly blobLength: number;
}

/** Plain bytes as they came; nothing is known of them until their digest was compared. */
export interface ArrivedChunk {
  readonly ref: ChunkRef;
  readonly bytes: Buffer;
  /** Its digest was compared by who gives it, in this process. */
  readonly isCompared?: true;
  /** Whoever asked has it on disk already. */
  readonly isKept?: true;
}

/** A chunk that was compared and written to the disk of whoever asked, and is nowhere else. */
export interface PlacedChunk extends Omit<ArrivedChunk, 'bytes'> {
  readonly bytes: undefined;
  readonly isCompared: true;
  readonly isKept: true;
}
