import type { ObjectAttributes, ObjectChecksum, ObjectInfo, PartInfo, UploadInfo } from '../../objects.ts';

/** A file that holds some of an object's bytes. */
export interface Piece {
  readonly fileId: string;
  readonly size: number;
}

export interface StoredObject {
  readonly info: ObjectInfo;
  readonly pieces: readonly Piece[];
  readonly uploadId: string | undefined;
}

type Row = Readonly<Record<string, unknown>>;

export function objectOf(row: Row): StoredObject {
  const stored: [string, number][] = JSON.parse(String(row['pieces']));
  const pieces = stored.map(([fileId, size]) => ({ fileId, size }));
  const uploadId = row['upload_id'];
  return {
    info: {
      bucket: String(row['bucket']),
      key: String(row['key']),
      size: Number(row['size']),
      etag: String(row['etag']),
      modifiedMs: Number(row['modified_ms']),
      attributes: attributesOf(row),
      parts: pieces.length,
    },
    pieces,
    uploadId: typeof uploadId === 'string' ? uploadId : undefined,
  };
}

export function uploadOf(row: Row): UploadInfo {
  return {
    bucket: String(row['bucket']),
    key: String(row['key']),
    uploadId: String(row['upload_id']),
    createdMs: Number(row['created_ms']),
    attributes: attributesOf(row),
  };
}

export interface StoredPart extends PartInfo {
  readonly fileId: string;
}

export function partOf(row: Row): StoredPart {
  const checksum = row['checksum'];
  const parsed: ObjectChecksum | undefined = typeof checksum === 'string' ? JSON.parse(checksum) : undefined;
  return {
    number: Number(row['number']),
    fileId: String(row['file_id']),
    size: Number(row['size']),
    etag: String(row['etag']),
    modifiedMs: Number(row['modified_ms']),
    checksum: parsed,
  };
}

function attributesOf(row: Row): ObjectAttributes {
  const attributes: ObjectAttributes = JSON.parse(String(row['attributes']));
  return attributes;
}
