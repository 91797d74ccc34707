import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { takeLock } from './exclusive-lock.ts';
import { RunDirectory } from './run-directory.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
}

/**
 * The directory with everything that a platform keeps. One daemon at a time: the lock is the operating system's, so a
 * daemon that was killed leaves none behind.
 */
export class DataDirectory {
  readonly path: string;
  /** For sockets and the like, which need a short path; empty at every start. */
  readonly runDirectory: string;
  readonly #run: RunDirectory;
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
    try {
      this.#run = new RunDirectory(this.path);
    } catch (error) {
      this.#lock.close();
      throw error;
    }
    this.runDirectory = this.#run.path;
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
    this.#run.close();
    this.#lock.close();
  }
}

function lock(directory: string): DatabaseSync {
  try {
    return takeLock(join(directory, 'lock.db'), 0);
  } catch (cause) {
    const running = readJson(join(directory, 'daemon.json'));
    const where = JSON.stringify(running ?? {});
    throw new ThawError('IN_USE', `another daemon uses the data directory ${directory}: ${where}`, { cause });
  }
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
