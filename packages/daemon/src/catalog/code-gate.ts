import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CodeRef } from '../model/function.ts';
import type { CodePackages } from './code-packages.ts';
import type { CodeDirectories } from './runnable-version.ts';
import type { UnpackedCode } from './unpacked-code.ts';

/** A zip that a client sends, and what it claims the zip's checksum to be. */
export interface NewCode {
  readonly zip: Buffer | Readable;
  readonly checksum?: string | undefined;
}

/**
 * New code comes in through here. Between the moment at which a zip is kept and the one at which a record names it,
 * it looks like garbage: while any such change is under way nothing is collected, and while garbage is collected
 * changes wait.
 */
export class CodeGate {
  readonly #packages: CodePackages;
  readonly #unpacked: UnpackedCode;
  #changes = 0;
  #collection: Promise<void> | undefined;

  constructor(packages: CodePackages, unpacked: UnpackedCode) {
    this.#packages = packages;
    this.#unpacked = unpacked;
  }

  /** Runs a change that may bring code; what it has added stays until it ends. */
  async change<T>(work: () => Promise<T>): Promise<T> {
    while (this.#collection !== undefined) await this.#collection;
    this.#changes += 1;
    try {
      return await work();
    } finally {
      this.#changes -= 1;
    }
  }

  /** Throws INVALID_CODE_PACKAGE, PAYLOAD_TOO_LARGE, or INVALID_ARGUMENT for another checksum than claimed. */
  async add(code: NewCode): Promise<CodeRef> {
    const ref = await this.#packages.add(code.zip);
    if (code.checksum !== undefined && code.checksum !== ref.checksum) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `code.checksum is ${code.checksum} but the CRC-64 of the zip is ${ref.checksum}`,
      );
    }
    return ref;
  }

  prepare(code: CodeRef, layers: readonly CodeRef[]): Promise<CodeDirectories> {
    return this.#unpacked.prepare(code, layers);
  }

  /** Runs a collection unless code is coming in or another is running; whether it ran. */
  async collect(collection: () => Promise<void>): Promise<boolean> {
    if (this.#changes > 0 || this.#collection !== undefined) return false;
    this.#collection = collection();
    try {
      await this.#collection;
    } finally {
      this.#collection = undefined;
    }
    return true;
  }
}
