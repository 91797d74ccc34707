import { isUtf8 } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { fromRandomAccessReaderPromise, getFileNameLowLevel, type Entry, type ZipFile } from 'yauzl';
import { invalidPackage, packagePath, shown } from './package-tree.ts';
import { ZipReader } from './zip-reader.ts';

export interface ZipEntry {
  /** Clean and relative. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'link';
  readonly isExecutable: boolean;
  readonly entry: Entry;
}

export interface ZipDirectory {
  readonly zip: ZipFile;
  readonly entries: readonly ZipEntry[];
}

const HOST_UNIX = 3;
const HOST_MACOS = 19;
const FLAG_UTF8 = 0x800;
const EXTRA_UNICODE_PATH = 0x7075;
const MODE_TYPE = 0o170000;
const KIND_BY_MODE = new Map<number, ZipEntry['kind']>([
  [0o040000, 'directory'],
  [0o100000, 'file'],
  [0o120000, 'link'],
]);

/** Reads and judges the whole directory of a zip before anything is unpacked. Throws INVALID_CODE_PACKAGE. */
export async function readZipDirectory(
  handle: FileHandle,
  entriesMax: number = LIMITS.codeEntriesMax,
): Promise<ZipDirectory> {
  try {
    const { size } = await handle.stat();
    const zip = await fromRandomAccessReaderPromise(new ZipReader(handle, size), size, {
      decodeStrings: false,
      autoClose: false,
    });
    if (zip.entryCount > entriesMax) {
      throw invalidPackage(`the code package has ${zip.entryCount} entries, more than ${entriesMax}`);
    }
    const entries: ZipEntry[] = [];
    for await (const entry of zip.eachEntry()) {
      const judged = judge(entry);
      if (judged !== undefined) entries.push(judged);
    }
    return { zip, entries };
  } catch (error) {
    throw zipFailure('the code package is not a readable zip', error);
  }
}

/** Failures of the disk are ours, everything else that reading a zip throws lies in the zip. */
export function zipFailure(what: string, error: unknown): ThawError {
  if (error instanceof ThawError) return error;
  if (error instanceof Error && 'syscall' in error) {
    return new ThawError('STORE_FAILED', 'could not unpack a code package', { cause: error });
  }
  return invalidPackage(`${what}: ${error instanceof Error ? error.message : String(error)}`);
}

function judge(entry: Entry): ZipEntry | undefined {
  const name = nameOf(entry);
  const path = packagePath(name);
  if (entry.isEncrypted()) throw invalidPackage(`the entry ${shown(name)} is encrypted`);
  if (!entry.canDecodeFileData()) {
    throw invalidPackage(
      `the entry ${shown(name)} is compressed by method ${entry.compressionMethod}; use deflate`,
    );
  }
  const host = entry.versionMadeBy >>> 8;
  const mode = host === HOST_UNIX || host === HOST_MACOS ? entry.externalFileAttributes >>> 16 : 0;
  const type = mode & MODE_TYPE;
  const hasSlash = name.endsWith('/');
  const kind = type === 0 ? (hasSlash ? 'directory' : 'file') : KIND_BY_MODE.get(type);
  if (kind === undefined || (hasSlash && kind !== 'directory')) {
    throw invalidPackage(
      `the entry ${shown(name)} is no file, directory or link (mode 0${mode.toString(8)})`,
    );
  }
  if (path === '') {
    if (kind === 'directory') return undefined;
    throw invalidPackage(`the entry ${shown(name)} has no name`);
  }
  // A directory may come with up to 200,000 others: what unpacking does not need is let go.
  entry.extraFields = [];
  entry.extraFieldRaw = entry.fileCommentRaw = entry.fileNameRaw = Buffer.alloc(0);
  entry.fileName = entry.fileComment = entry.comment = '';
  return { path, kind, isExecutable: (mode & 0o111) !== 0, entry };
}

/**
 * Names without the UTF-8 flag are CP437 by the specification, but many tools on Unix write UTF-8 and set no flag: from
 * those, what is UTF-8 is taken as such.
 */
function nameOf(entry: Entry): string {
  const hasUnicodePath = entry.extraFields.some((field) => field.id === EXTRA_UNICODE_PATH);
  const flags = entry.generalPurposeBitFlag;
  const isText = isUtf8(entry.fileNameRaw);
  if ((flags & FLAG_UTF8) !== 0 && !isText && !hasUnicodePath) {
    throw invalidPackage(
      `the entry ${shown(entry.fileNameRaw.toString('latin1'))} has a name that is not UTF-8`,
    );
  }
  const isUnixText = entry.versionMadeBy >>> 8 === HOST_UNIX && isText;
  return getFileNameLowLevel(
    isUnixText ? flags | FLAG_UTF8 : flags,
    entry.fileNameRaw,
    entry.extraFields,
    true,
  );
}
