import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ByteReader } from './byte-reader.ts';
import type { EntryKind, LayerEntry } from './layer-entry.ts';
import { layerPath } from './layer-path.ts';
import { parsePaxRecords, paxNumber, paxTimeNs } from './pax-records.ts';
import { parseTarHeader, TAR_BLOCK, type TarHeader } from './tar-header.ts';

/** Long names, times and attributes of one file; the largest that the kernel takes as an attribute is 64 KiB. */
const EXTENSION_BYTES_MAX = 1024 * 1024;
/** Blocks of headers that may stand before one file. */
const EXTENSIONS_MAX = 16;
const XATTR_PREFIX = 'SCHILY.xattr.';
const XATTRS_MAX = 64;
const XATTR_BYTES_MAX = 64 * 1024;
const ID_MAX = 2 ** 32 - 2;

/** What stands before a file's bytes. */
export interface TarEntry extends Omit<LayerEntry, 'kind' | 'chunks'> {
  /** `leftOut`: a device in `/dev`. Every sandbox has a `/dev` of its own, so what base systems keep there is never seen. */
  readonly kind: EntryKind | 'leftOut';
  /** All its header blocks as they are, extensions first. */
  readonly header: Buffer;
}

type Pax = ReadonlyMap<string, Buffer>;

/**
 * The next entry of a tar, whose `size` bytes and their padding the caller takes from the reader before it asks again;
 * undefined at the tar's end. Whatever no honest image has is refused with INVALID_IMAGE, before a byte of it is kept.
 */
export async function nextTarEntry(
  reader: ByteReader,
  globals: Map<string, Buffer>,
): Promise<TarEntry | undefined> {
  const raw: Buffer[] = [];
  let pax: Pax = new Map();
  let longName: string | undefined;
  let longLink: string | undefined;
  for (let extensions = 0; extensions <= EXTENSIONS_MAX; extensions += 1) {
    const block = await reader.read(TAR_BLOCK);
    if (block === undefined) {
      if (raw.length > 0) throw reader.endedEarly();
      return undefined;
    }
    const header = parseTarHeader(block);
    if (header === undefined) {
      if (raw.length > 0) throw refused('a header that belongs to no file');
      return undefined;
    }
    raw.push(block);
    if (!'xgLK'.includes(header.type)) {
      return entryOf({ header, pax: new Map([...globals, ...pax]), longName, longLink, raw });
    }
    const body = await readExtension(reader, header, raw);
    if (header.type === 'x') pax = parsePaxRecords(body);
    if (header.type === 'g') for (const [key, value] of parsePaxRecords(body)) globals.set(key, value);
    if (header.type === 'L') longName = untilNul(body);
    if (header.type === 'K') longLink = untilNul(body);
  }
  throw refused(`more than ${EXTENSIONS_MAX} headers before one file`);
}

export function paddingOf(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
}

async function readExtension(reader: ByteReader, { size }: TarHeader, raw: Buffer[]): Promise<Buffer> {
  if (size < 0 || size > EXTENSION_BYTES_MAX)
    throw refused(`a header of ${size} bytes; ${EXTENSION_BYTES_MAX} are allowed`);
  const padded = await reader.require(size + paddingOf(size));
  raw.push(padded);
  return padded.subarray(0, size);
}

interface Found {
  readonly header: TarHeader;
  readonly pax: Pax;
  readonly longName: string | undefined;
  readonly longLink: string | undefined;
  readonly raw: readonly Buffer[];
}

function entryOf({ header, pax, longName, longLink, raw }: Found): TarEntry {
  const name = textOf(pax, 'path') ?? longName ?? header.name;
  const path = layerPath(name);
  if ([...pax.keys()].some((key) => key.startsWith('GNU.sparse'))) throw refused(`a sparse file, ${path}`);
  const kind = kindOf(header, name, path);
  const size = numberOf(pax, 'size') ?? header.size;
  if (size < 0) throw refused(`a size that is none, ${path}`);
  const target = textOf(pax, 'linkpath') ?? longLink ?? header.linkName;
  return {
    kind,
    path,
    mode: header.mode,
    uid: idOf(numberOf(pax, 'uid') ?? header.uid, path),
    gid: idOf(numberOf(pax, 'gid') ?? header.gid, path),
    mtimeNs: timeOf(pax) ?? BigInt(header.mtimeS) * 1_000_000_000n,
    // A link's size field tells of the file that it names; no bytes follow.
    size: kind === 'file' ? size : 0,
    linkTarget: linkTargetOf(kind, target, path),
    xattrs: xattrsOf(pax, path),
    header: Buffer.concat(raw),
  };
}

function kindOf(
  { type, deviceMajor, deviceMinor, size }: TarHeader,
  name: string,
  path: string,
): TarEntry['kind'] {
  switch (type) {
    case '0':
    case '7':
      // Before POSIX a directory was a file whose name ends with a slash.
      return name.endsWith('/') && size === 0 ? 'directory' : 'file';
    case '1':
      return 'hardlink';
    case '2':
      return 'symlink';
    case '3':
    case '4':
      if (path.startsWith('dev/')) return 'leftOut';
      throw refused(`the device node ${path} (${deviceMajor}:${deviceMinor})`);
    case '5':
      return 'directory';
    case '6':
      return 'fifo';
    default:
      throw refused(`an entry of the unknown type ${JSON.stringify(type)}, ${path}`);
  }
}

const SYMLINK_BYTES_MAX = 4095;

function linkTargetOf(kind: TarEntry['kind'], target: string, path: string): string {
  if (kind === 'hardlink') return layerPath(target);
  if (kind !== 'symlink') return '';
  const bytes = Buffer.byteLength(target);
  if (bytes === 0 || bytes > SYMLINK_BYTES_MAX || target.includes('\0'))
    throw refused(`a symbolic link to nowhere, ${path}`);
  return target;
}

function xattrsOf(pax: Pax, path: string): ReadonlyMap<string, Buffer> {
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of pax) {
    if (!key.startsWith(XATTR_PREFIX)) continue;
    if (value.length > XATTR_BYTES_MAX)
      throw refused(`an extended attribute of ${value.length} bytes, ${path}`);
    xattrs.set(key.slice(XATTR_PREFIX.length), value);
  }
  if (xattrs.size > XATTRS_MAX) throw refused(`more than ${XATTRS_MAX} extended attributes, ${path}`);
  return xattrs;
}

function idOf(id: number, path: string): number {
  if (id < 0 || id > ID_MAX) throw refused(`the owner ${id}, ${path}`);
  return id;
}

function timeOf(pax: Pax): bigint | undefined {
  const value = pax.get('mtime');
  return value === undefined || value.length === 0 ? undefined : paxTimeNs(value);
}

function numberOf(pax: Pax, key: string): number | undefined {
  const value = pax.get(key);
  return value === undefined || value.length === 0 ? undefined : paxNumber(value);
}

function textOf(pax: Pax, key: string): string | undefined {
  const value = pax.get(key);
  return value === undefined || value.length === 0 ? undefined : value.toString('utf8');
}

function untilNul(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('utf8', 0, end < 0 ? body.length : end);
}

function refused(what: string): ThawError {
  return new ThawError('INVALID_IMAGE', `a layer holds ${what}, which is refused`);
}
