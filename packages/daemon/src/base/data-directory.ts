import { createHash, randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
}

const MEMORY_DIRECTORIES = ['/run', '/dev/shm'];
/** `TMPFS_MAGIC` of Linux's `magic.h`. */
const TMPFS = 0x01021994;

/**
 * The directory with everything that a platform keeps. One daemon at a time: the lock is the operating system's, so a
 * daemon that was killed leaves none behind.
 */
export class DataDirectory {
  readonly path: string;
  /** For sockets and the like, which need a short path; empty at every start. */
  readonly runDirectory: string;
  readonly #lock: DatabaseSync;

  /** Throws IN_USE when another daemon has it, STORE_FAILED when it cannot be used. */
  constructor(path: string) {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      this.path = realpathSync(path);
    } catch (cause) {
      throw new ThawError('STORE_FAILED', `the data directory ${path} cannot be used`, { cause });
    }
    this.#lock = lock(this.path);
    // Node takes a file's module format from the nearest package.json above it, which must not be somebody else's.
    writeFileSync(join(this.path, 'package.json'), '{}\n');
    this.runDirectory = runDirectoryOf(this.path);
  }

  /** Made at the first start; readable by the owner alone. */
  credentials(): Credentials {
    const path = join(this.path, 'credentials.json');
    const stored = readJson(path);
    if (isCredentials(stored)) return stored;
    if (stored !== undefined) {
      throw new ThawError('STORE_FAILED', `${path} holds no credentials; remove it to have new ones made`);
    }
    const made: Credentials = {
      accessKeyId: `THAW${randomBytes(8).toString('hex').toUpperCase()}`,
      accessKeySecret: randomBytes(24).toString('base64url'),
    };
    writeWhole(path, made);
    return made;
  }

  /** Tells other programs where the daemon is, for as long as it runs. */
  announce(url: string): void {
    writeWhole(join(this.path, 'daemon.json'), { pid: process.pid, url });
  }

  close(): void {
    rmSync(join(this.path, 'daemon.json'), { force: true });
    rmSync(this.runDirectory, { recursive: true, force: true });
    this.#lock.close();
  }
}

/** An exclusive transaction that is never ended, on a database that is never written. */
function lock(directory: string): DatabaseSync {
  const database = new DatabaseSync(join(directory, 'lock.db'), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (cause) {
    database.close();
    const running = readJson(join(directory, 'daemon.json'));
    const where = JSON.stringify(running ?? {});
    throw new ThawError('IN_USE', `another daemon uses the data directory ${directory}: ${where}`, { cause });
  }
}

/**
 * Where root keeps small things in memory. Every start makes and removes some files and directories, and a file system on a
 * disk takes longer for one than the rest of the daemon takes for the whole start.
 */
function memoryDirectory(): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return MEMORY_DIRECTORIES.find((directory) => {
    try {
      accessSync(directory, constants.W_OK);
      return statfsSync(directory).type === TMPFS;
    } catch {
      return false;
    }
  });
}

/** In `/tmp` or its like, where others may write too: it must be ours and closed to them. */
function runDirectoryOf(dataDirectory: string): string {
  const name = `thaw-${createHash('sha256').update(dataDirectory).digest('hex').slice(0, 12)}`;
  const path = join(process.env['XDG_RUNTIME_DIR'] ?? memoryDirectory() ?? tmpdir(), name);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new ThawError('STORE_FAILED', `${path} belongs to somebody else`);
  }
  chmodSync(path, 0o700);
  rmSync(join(path, 'i'), { recursive: true, force: true });
  return path;
}

/** Never half there: written beside and renamed. */
function writeWhole(path: string, value: unknown): void {
  const beside = `${path}.new`;
  writeFileSync(beside, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(beside, path);
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    return null;
  }
}

function isCredentials(value: unknown): value is Credentials {
  return (
    typeof value === 'object' &&
    value !== null &&
    'accessKeyId' in value &&
    'accessKeySecret' in value &&
    typeof value.accessKeyId === 'string' &&
    typeof value.accessKeySecret === 'string'
  );
}
