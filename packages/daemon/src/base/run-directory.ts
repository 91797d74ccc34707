import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { takeLock } from './exclusive-lock.ts';

const MEMORY_DIRECTORIES = ['/run', '/dev/shm'];
/** `TMPFS_MAGIC` of Linux's `magic.h`. */
const TMPFS = 0x01021994;
/** Held for as long as the platform lives; see leftover-run-directories.ts. */
export const RUN_LOCK = 'lock.db';
/** Who clears what is left holds it for as long as a rename takes. */
const LOCK_MS_MAX = 5000;
const ATTEMPTS = 3;

/** For sockets and the like, which need a short path. It goes with the platform. */
export class RunDirectory {
  readonly path: string;
  readonly #lock: DatabaseSync;

  /** For who holds the lock of this data directory. Throws STORE_FAILED, or IN_USE where another platform has it. */
  constructor(dataDirectory: string) {
    const name = `thaw-${createHash('sha256').update(dataDirectory).digest('hex').slice(0, 12)}`;
    this.path = join(runDirectoriesHome(), name);
    this.#lock = open(this.path);
    rmSync(join(this.path, 'i'), { recursive: true, force: true });
  }

  close(): void {
    try {
      rmSync(this.path, { recursive: true, force: true });
    } finally {
      this.#lock.close();
    }
  }
}

/** Where this process has its run directory, which others of this user may have too. */
function runDirectoriesHome(): string {
  return process.env['XDG_RUNTIME_DIR'] ?? memoryDirectory() ?? tmpdir();
}

/** In `/tmp` or its like, where others may write too: it must be ours and closed to them. */
function open(path: string): DatabaseSync {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const found = lstatSync(path);
    if (!found.isDirectory() || found.uid !== process.getuid?.()) {
      throw new ThawError('STORE_FAILED', `${path} belongs to somebody else`);
    }
    chmodSync(path, 0o700);
    const lock = lockIn(path);
    // Who took away what an earlier platform had left here may have taken the file that was locked.
    if (existsSync(join(path, RUN_LOCK))) return lock;
    lock.close();
  }
  throw new ThawError('STORE_FAILED', `${path} is taken away again and again`);
}

function lockIn(path: string): DatabaseSync {
  try {
    return takeLock(join(path, RUN_LOCK), LOCK_MS_MAX);
  } catch (cause) {
    // Its data directory has the same path, and is another one: both run in containers that share this directory.
    throw new ThawError('IN_USE', `another daemon uses the run directory ${path}`, { cause });
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
