import { buffer } from 'node:stream/consumers';
import { crc32, deflateRawSync } from 'node:zlib';
import { ZipFile } from 'yazl';

/**
 * Zips that no honest tool makes. Names are written byte for byte, sizes and counts can lie (APPNOTE.TXT 4.3.7, 4.3.12
 * and 4.3.16).
 */
export interface OddEntry {
  readonly name: string;
  readonly content?: Buffer;
  /** What the headers say the size is. */
  readonly declaredBytes?: number;
  readonly declaredCrc32?: number;
  readonly isEncrypted?: boolean;
  readonly method?: number;
  /** Unix mode with its type bits. */
  readonly mode?: number;
}

const UNIX = 3;
const UTF8_FLAG = 0x800;

export function oddZip(entries: readonly OddEntry[]): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const name = Buffer.from(entry.name);
    const content = entry.content ?? Buffer.from('exports.handler = async () => 1;');
    const packed = deflateRawSync(content);
    const flags = UTF8_FLAG | (entry.isEncrypted === true ? 1 : 0);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(entry.method ?? 8, 4);
    common.writeUInt32LE(entry.declaredCrc32 ?? crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(entry.declaredBytes ?? content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, name, packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(((entry.mode ?? 0o100644) << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    const madeBy = Buffer.from([20, UNIX]);
    centrals.push(Buffer.concat([Buffer.from('PK\x01\x02'), madeBy, common, tail, name]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length % 65_536, 8);
  end.writeUInt16LE(entries.length % 65_536, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

/** A zip with a file and a symbolic link. */
export async function zipWithLink(name: string, target: string): Promise<Buffer> {
  const archive = new ZipFile();
  archive.addBuffer(Buffer.from('exports.handler = async () => 1;'), 'index.js');
  archive.addBuffer(Buffer.from(target), name, { mode: 0o120777 });
  archive.end();
  return buffer(archive.outputStream);
}
