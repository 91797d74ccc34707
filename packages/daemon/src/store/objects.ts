import type { Readable } from 'node:stream';

/**
 * Buckets of objects. A bucket holds objects by key, a text of 1 to 1024 bytes of UTF-8 without NUL.
 *
 * Contract:
 *  1. What a call that changes something returned or resolved for is on disk: it survives `kill -9`. An object that is not whole has
 *     never a name, and of what an interrupted call left nothing stays after the next open.
 *  2. `stage` takes bytes in before anything names them; whoever staged them hands them to one call, which uses them up
 *     or throws, or discards them. One byte more than its bound throws PAYLOAD_TOO_LARGE, a source that breaks off
 *     BODY_TRUNCATED (its own ThawError where it gives one); either leaves nothing, and a stream to its owner.
 *  3. Lists are in the order of the keys' UTF-8 bytes. Going on from `next` until there is none gives every key once; keys
 *     that share what stands before the delimiter are one prefix.
 *  4. Conditions hold at the moment of the change: of two that put a key only if it is new, one throws PRECONDITION_FAILED.
 *  5. A reader reads the object as it was when it was opened, whatever happens to the key meanwhile.
 *  6. A part put again replaces the one of its number. Completing names parts by rising number with the ETag of each, all
 *     but the last at least `partBytesMin`; it makes one object and ends the upload. Completing again answers the same.
 *  7. A change that matches a watch is kept for it in the same step that makes the change visible, and given, in order,
 *     until it is acknowledged, also across restarts. A full watch (`WATCH_CHANGES_MAX`) refuses the change: QUEUE_FULL.
 *  8. Calls that name a bucket throw BUCKET_NOT_FOUND where there is none, and INVALID_ARGUMENT for a key that cannot be.
 *  9. Bytes that nothing names any more are removed from the disk, once their last reader has closed.
 */
export interface Objects {
  /** Throws BUCKET_EXISTS, LIMIT_EXCEEDED, INVALID_ARGUMENT. */
  createBucket(bucket: string): BucketInfo;
  findBucket(bucket: string): BucketInfo | undefined;
  listBuckets(): readonly BucketInfo[];
  /** Throws IN_USE while it holds an object or an upload. */
  deleteBucket(bucket: string): void;

  stage(source: Readable | AsyncIterable<Uint8Array>, bytesMax: number): Promise<StagedBytes>;
  discard(staged: StagedBytes): Promise<void>;

  put(target: ObjectTarget, staged: StagedBytes, attributes: ObjectAttributes): Promise<ObjectInfo>;
  /** The copy's bytes are shared with the original's where the file system can. Throws OBJECT_NOT_FOUND. */
  copy(
    source: ObjectName,
    target: ObjectTarget,
    attributes: ObjectAttributes | undefined,
    check?: (source: ObjectInfo) => void,
  ): Promise<ObjectInfo>;
  find(name: ObjectName): ObjectInfo | undefined;
  /** The reader must be closed. */
  open(name: ObjectName): ObjectReader | undefined;
  /** One step for all keys; true for each that was there. */
  delete(bucket: string, keys: readonly string[], cause: ObjectCause): Promise<readonly boolean[]>;
  list(bucket: string, query: ObjectQuery): ObjectPage;

  readonly uploads: ObjectUploads;
  readonly watches: ObjectWatches;
}

/** Objects that arrive in parts. Every call throws, or rejects with, UPLOAD_NOT_FOUND for an upload that is not this key's. */
export interface ObjectUploads {
  create(name: ObjectName, attributes: ObjectAttributes): UploadInfo;
  find(upload: UploadName): UploadInfo;
  putPart(
    upload: UploadName,
    number: number,
    staged: StagedBytes,
    checksum: ObjectChecksum | undefined,
  ): Promise<PartInfo>;
  /** Throws INVALID_ARGUMENT, whose `details.s3Code` says what is wrong with the parts. */
  complete(upload: UploadName, parts: readonly NamedPart[], target: ObjectTarget): Promise<ObjectInfo>;
  abort(upload: UploadName): void;
  listParts(upload: UploadName, afterNumber: number, limit: number): Page<PartInfo>;
  /** By key, then by id. */
  list(bucket: string, query: UploadQuery): Page<UploadInfo>;
}

/** What waits to be told of changes. */
export interface ObjectWatches {
  /** Makes the watch, or changes what it watches; what it holds already stays. */
  set(watch: ObjectWatch): void;
  delete(watchId: string): void;
  ids(): readonly string[];
  /** The oldest first. */
  changes(watchId: string, limit: number): readonly ObjectChange[];
  acknowledge(watchId: string, throughSequence: number): Promise<void>;
  /** Called after a change was kept for the watch, or its bucket was made or deleted. */
  listen(watchId: string, onChange: () => void): () => void;
}

export interface BucketInfo {
  readonly name: string;
  readonly createdMs: number;
}

export interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

/** Where an object is put, on what condition, and why. */
export interface ObjectTarget extends ObjectName {
  readonly cause: ObjectCause;
  /** Asked with what is there now; throws to leave it as it is. */
  readonly check?: ((current: ObjectInfo | undefined) => void) | undefined;
}

/** Who changed an object and how; the changes that watches get tell it. */
export interface ObjectCause {
  readonly operation:
    | 'PutObject'
    | 'CopyObject'
    | 'CompleteMultipartUpload'
    | 'DeleteObject'
    | 'DeleteObjects';
  readonly requestId: string;
  readonly sourceIp: string;
  readonly principalId: string;
}

/** What an object gives back as it was put. */
export interface ObjectAttributes {
  /** By lower-case name: `content-type`, `cache-control` and the like. */
  readonly headers: Readonly<Record<string, string>>;
  /** By lower-case name without its prefix. */
  readonly userMetadata: Readonly<Record<string, string>>;
  readonly checksum?: ObjectChecksum | undefined;
}

export interface ObjectChecksum {
  readonly algorithm: 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256';
  /** Base64. */
  readonly value: string;
}

export interface ObjectInfo extends ObjectName {
  readonly size: number;
  /** Hex MD5 of the bytes; of an object in parts, of their MD5s, with `-<parts>`. Without quotes. */
  readonly etag: string;
  readonly modifiedMs: number;
  readonly attributes: ObjectAttributes;
  /** 1 where it was put whole. */
  readonly parts: number;
}

export interface ObjectReader {
  readonly info: ObjectInfo;
  /** Bytes from `start` up to, not including, `end`. */
  bytes(start: number, end: number): AsyncIterable<Buffer>;
  close(): void;
}

/** Bytes on disk that nothing names yet. */
export interface StagedBytes {
  readonly fileId: string;
  readonly size: number;
  /** Hex. */
  readonly md5: string;
}

export interface ObjectQuery {
  readonly prefix: string;
  /** Empty: none. */
  readonly delimiter: string;
  /** Only what comes after this key, or after this prefix. */
  readonly after: string;
  readonly limit: number;
}

export interface ObjectPage {
  readonly objects: readonly ListedObject[];
  readonly prefixes: readonly string[];
  /** The last key or prefix of the page; undefined when nothing comes after. */
  readonly next: string | undefined;
}

export type ListedObject = Omit<ObjectInfo, 'attributes' | 'parts' | 'bucket'>;

export interface UploadName extends ObjectName {
  readonly uploadId: string;
}

export interface UploadInfo extends UploadName {
  readonly createdMs: number;
  readonly attributes: ObjectAttributes;
}

export interface PartInfo {
  readonly number: number;
  readonly size: number;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly checksum: ObjectChecksum | undefined;
}

export interface NamedPart {
  readonly number: number;
  readonly etag: string;
  readonly checksum: ObjectChecksum | undefined;
}

export interface UploadQuery {
  readonly prefix: string;
  readonly afterKey: string;
  readonly afterUploadId: string;
  readonly limit: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly isTruncated: boolean;
}

export interface ObjectWatch {
  readonly watchId: string;
  readonly bucket: string;
  /** `ObjectCreated:PutObject`, `ObjectRemoved:*` and the like. */
  readonly events: readonly string[];
  readonly prefix: string;
  readonly suffix: string;
}

export interface ObjectChange extends ObjectName {
  readonly sequence: number;
  /** Unique among all changes that ever were; letters and digits. */
  readonly changeId: string;
  readonly event: string;
  readonly size: number;
  /** What the key holds more than before. */
  readonly deltaSize: number;
  readonly etag: string;
  readonly contentType: string;
  readonly timeMs: number;
  readonly cause: ObjectCause;
}

/** Changes that one watch may hold before anybody takes them. */
export const WATCH_CHANGES_MAX = 1_000_000;
