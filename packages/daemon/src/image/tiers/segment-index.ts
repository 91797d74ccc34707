import { readFileSync } from 'node:fs';

/** Beside each segment stands a file with one record for each chunk: digest (32 bytes), offset and size (4 each). */
const RECORD_BYTES = 40;

export interface IndexRecord {
  readonly digest: string;
  readonly offset: number;
  readonly size: number;
}

export function encodeRecord({ digest, offset, size }: IndexRecord): Buffer {
  const record = Buffer.alloc(RECORD_BYTES);
  record.write(digest, 0, 'hex');
  record.writeUInt32LE(offset, 32);
  record.writeUInt32LE(size, 36);
  return record;
}

/** A record that was torn by a crash is left out; whether a whole one is true is told by the chunk's digest alone. */
export function readIndex(path: string, segmentBytes: number): IndexRecord[] {
  const bytes = readFileSync(path);
  const records: IndexRecord[] = [];
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    const offset = bytes.readUInt32LE(at + 32);
    const size = bytes.readUInt32LE(at + 36);
    if (size === 0 || offset + size > segmentBytes) continue;
    records.push({ digest: bytes.toString('hex', at, at + 32), offset, size });
  }
  return records;
}
