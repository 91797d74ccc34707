import type { Readable } from 'node:stream';

/**
 * Content-addressed bytes: the name of a blob is the lower-case hex SHA-256 of what is in it.
 *
 * Contract:
 *  1. A blob whose `put` returned is on disk: it survives `kill -9`; a torn write is never visible under its name.
 *  2. Putting the same bytes twice gives the same name and one copy.
 *  3. `bytesMax` bounds a put; one byte more throws PAYLOAD_TOO_LARGE and leaves nothing behind.
 *  4. `path` is a file that may be read but never written.
 *  5. `delete` of a blob that is not there does nothing.
 *  6. A source that fails before its end throws BODY_TRUNCATED (its own ThawError where it gives one) and leaves
 *     nothing behind. Whatever happens, a stream is left to its owner, who drains or destroys it.
 */
export interface Blobs {
  put(source: Buffer | Readable, bytesMax: number): Promise<StoredBlob>;
  /** Where the blob's file is, or undefined when there is none. */
  path(digest: string): string | undefined;
  delete(digest: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

export interface StoredBlob {
  readonly digest: string;
  readonly size: number;
}
