import type { Clock } from '../base/clock.ts';
import { CodeDirectories } from './code-directories.ts';
import { unpackZip, type UnpackLimits } from './unpack-zip.ts';

/** The unpacked code packages: `<root>/<digest of the zip>/`. */
export class CodePackages {
  readonly #directories: CodeDirectories;
  readonly #limits: UnpackLimits | undefined;

  private constructor(directories: CodeDirectories, limits: UnpackLimits | undefined) {
    this.#directories = directories;
    this.#limits = limits;
  }

  static async open(root: string, clock: Clock, limits?: UnpackLimits): Promise<CodePackages> {
    return new CodePackages(await CodeDirectories.open(root, clock), limits);
  }

  /** Unpacks the zip unless that was done. Throws INVALID_CODE_PACKAGE, STORE_FAILED. */
  unpack(zipDigest: string, zipPath: string): Promise<string> {
    return this.#directories.require(zipDigest, (temporary) => unpackZip(zipPath, temporary, this.#limits));
  }

  collect(live: ReadonlySet<string>, graceMs: number): Promise<number> {
    return this.#directories.collect(live, graceMs);
  }
}
