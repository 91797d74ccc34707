import { constants } from 'node:fs';
import { mkdir, open, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { ZipFile } from 'yauzl';
import { invalidPackage, PackageTree, shown } from './package-tree.ts';
import { readZipDirectory, zipFailure, type ZipEntry } from './zip-directory.ts';

export interface UnpackLimits {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

const LIMITS_DEFAULT: UnpackLimits = {
  entriesMax: LIMITS.codeEntriesMax,
  bytesMax: LIMITS.codeUnpackedBytesMax,
};

/** Files written at a time: enough for their syncs to share the disk's work, few enough to leave threads to others. */
const FILES_AT_A_TIME = 6;
/** Entries judged before other work gets its turn. */
const ENTRIES_PER_TURN = 1_000;
const LINK_TARGET_BYTES_MAX = 4096;
/** Nobody writes, since instances share the files; everybody reads, since they run as other users. */
const FILE_MODE = 0o444;
const EXECUTABLE_MODE = 0o555;
const DIRECTORY_MODE = 0o755;

/**
 * Unpacks a zip into `directory`, which must be new; what a failure leaves there is the caller's to remove. When it
 * returns everything is on disk. Symbolic links are made last, so that no write ever goes through one.
 *
 * Throws INVALID_CODE_PACKAGE that says what is wrong and where, STORE_FAILED when the disk fails.
 */
export async function unpackZip(zipPath: string, directory: string, limits = LIMITS_DEFAULT): Promise<void> {
  const handle = await open(zipPath, 'r');
  try {
    const { zip, entries } = await readZipDirectory(handle, limits.entriesMax);
    const budget: ByteBudget = { left: limits.bytesMax, bytesMax: limits.bytesMax };
    const tree = new PackageTree(limits.entriesMax);
    for (const [n, entry] of entries.entries()) {
      if (n % ENTRIES_PER_TURN === 0) await nextTurn();
      const { kind, path } = entry;
      if (kind === 'link') tree.add(path, { kind, target: await readLinkTarget(zip, entry, budget) });
      else tree.add(path, kind === 'file' ? { kind } : { kind, implied: false });
    }
    await tree.checkLinks();

    const directories = [...tree.nodes].filter(([, node]) => node.kind === 'directory').map(([path]) => path);
    // Code-unit order puts every parent before what is in it.
    directories.sort();
    await mkdir(directory, { mode: DIRECTORY_MODE });
    for (const path of directories) await mkdir(join(directory, path), { mode: DIRECTORY_MODE });
    await eachAtATime(
      entries.filter((entry) => entry.kind === 'file'),
      (entry) => writeEntry(zip, entry, join(directory, entry.path), budget),
    );
    for (const [path, node] of tree.nodes) {
      if (node.kind === 'link') await symlink(node.target, join(directory, path));
    }
    await eachAtATime(['', ...directories], (path) => settleDirectory(join(directory, path)));
  } catch (error) {
    throw zipFailure('the code package cannot be unpacked', error);
  } finally {
    await handle.close();
  }
}

/** Bytes that may still be unpacked: counted as they come, whatever the headers promise. */
interface ByteBudget {
  left: number;
  readonly bytesMax: number;
}

async function writeEntry(zip: ZipFile, entry: ZipEntry, path: string, budget: ByteBudget): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE);
  try {
    for await (const chunk of contentOf(zip, entry, budget)) {
      let at = 0;
      while (at < chunk.length) at += (await file.write(chunk, at)).bytesWritten;
    }
    // Explicit, since the mode given to open is cut by the umask.
    await file.chmod(entry.isExecutable ? EXECUTABLE_MODE : FILE_MODE);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function* contentOf(
  zip: ZipFile,
  { entry, path }: ZipEntry,
  budget: ByteBudget,
): AsyncGenerator<Buffer> {
  let checksum = 0;
  try {
    for await (const chunk of await zip.openReadStreamPromise(entry)) {
      const bytes = Buffer.from(chunk);
      budget.left -= bytes.length;
      if (budget.left < 0) {
        throw invalidPackage(
          `the code package is larger than ${budget.bytesMax} bytes unpacked; the bound was passed in ${shown(path)}`,
        );
      }
      checksum = crc32(bytes, checksum);
      yield bytes;
    }
  } catch (error) {
    throw zipFailure(`the entry ${shown(path)} is damaged`, error);
  }
  if (checksum !== entry.crc32)
    throw invalidPackage(`the entry ${shown(path)} is damaged: its checksum differs`);
}

async function readLinkTarget(zip: ZipFile, entry: ZipEntry, budget: ByteBudget): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of contentOf(zip, entry, budget)) {
    length += chunk.length;
    if (length > LINK_TARGET_BYTES_MAX) {
      throw invalidPackage(
        `the symbolic link ${shown(entry.path)} has a target of more than ${LINK_TARGET_BYTES_MAX} bytes`,
      );
    }
    chunks.push(chunk);
  }
  const target = Buffer.concat(chunks).toString('utf8');
  if (target === '' || target.includes('\0')) {
    throw invalidPackage(`the symbolic link ${shown(entry.path)} has no valid target`);
  }
  return target;
}

async function settleDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.chmod(DIRECTORY_MODE);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Works through the items, a few at a time. After the first failure nothing new is begun, and what is under way ends. */
async function eachAtATime<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  let isFailed = false;
  const worker = async () => {
    for (const item of waiting) {
      if (isFailed) return;
      try {
        await work(item);
      } catch (error) {
        isFailed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: FILES_AT_A_TIME }, worker));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
