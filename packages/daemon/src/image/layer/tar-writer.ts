import { TAR_BLOCK } from './tar-header.ts';

/** Tars for tests: every field can be set to what an honest program would never write. */
export interface RawEntry {
  readonly name: string;
  readonly type?: string;
  readonly body?: Buffer | string;
  /** What the header says, where that is not the body's. */
  readonly size?: number;
  readonly linkName?: string;
  readonly mode?: number;
  readonly mtimeS?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly device?: readonly [major: number, minor: number];
  readonly pax?: Readonly<Record<string, Buffer | string>>;
}

export function rawTar(entries: readonly RawEntry[]): Buffer {
  return Buffer.concat([...entries.map((entry) => rawEntry(entry)), Buffer.alloc(2 * TAR_BLOCK)]);
}

function rawEntry(entry: RawEntry): Buffer {
  const { pax, ...plain } = entry;
  const body = Buffer.from(entry.body ?? '');
  const extension = pax === undefined ? [] : [rawEntry({ name: 'pax', type: 'x', body: paxBody(pax) })];
  return Buffer.concat([
    ...extension,
    header({ ...plain, size: plain.size ?? body.length }),
    body,
    Buffer.alloc((TAR_BLOCK - (body.length % TAR_BLOCK)) % TAR_BLOCK),
  ]);
}

function paxBody(records: Readonly<Record<string, Buffer | string>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
      let length = rest.length + 1;
      while (String(length).length + rest.length !== length) length += 1;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}

function header(entry: RawEntry): Buffer {
  const {
    name,
    type = '0',
    size = 0,
    linkName = '',
    mode = 0o644,
    mtimeS = 1_700_000_000,
    uid = 0,
    gid = 0,
  } = entry;
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(name, 0, 100);
  block.write(octal(mode, 7), 100);
  block.write(octal(uid, 7), 108);
  block.write(octal(gid, 7), 116);
  block.write(octal(size, 11), 124);
  block.write(octal(mtimeS, 11), 136);
  block.write(' '.repeat(8), 148);
  block.write(type, 156);
  block.write(linkName, 157, 100);
  block.write('ustar\u000000', 257);
  block.write(octal(entry.device?.[0] ?? 0, 7), 329);
  block.write(octal(entry.device?.[1] ?? 0, 7), 337);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function octal(value: number, digits: number): string {
  return `${value.toString(8).padStart(digits, '0')}\0`;
}
