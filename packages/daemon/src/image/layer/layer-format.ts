/**
 * How a layer is packed so that its pieces can be had one by one: members that can each be unpacked alone, all of them
 * behind each other the layer's tar, and at the end a table of contents.
 */
export interface LayerFormat {
  readonly mediaType: string;
  /** A member of these bytes. */
  pack(bytes: Buffer): Promise<Buffer>;
  /** The last bytes of the tar, which become its last member. */
  tarEnd(toc: Buffer): Buffer;
  /** What stands behind that member. */
  blobEnd(toc: Buffer, tarEnd: BytesAt): Promise<Buffer>;
  /** By the last `BLOB_END_BYTES` of a blob of this size: where its table is. Undefined for a blob of no such format. */
  findToc(lastBytes: Buffer, size: number): TocPlace | undefined;
}

export interface BytesAt {
  readonly start: number;
  readonly end: number;
}

/** Where a blob has its table of contents, as it is packed. */
export interface TocPlace extends BytesAt {
  /** Where the last chunk's member ends at the latest. */
  readonly chunksEnd: number;
  /** Throws what it likes where these bytes cannot be unpacked to at most so many, INVALID_IMAGE where they hold no table. */
  unpack(packed: Buffer, bytesMax: number): Promise<Buffer>;
}

/** The longest of all footers. */
export const BLOB_END_BYTES = 51;
