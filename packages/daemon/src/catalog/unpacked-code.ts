import type { CodeRef } from '../model/function.ts';
import type { CodePackages } from './code-intake.ts';
import type { CodeDirectories } from './runnable-version.ts';

/**
 * Remembers where code is unpacked, so that a record can become a route without waiting. Code is unpacked before its
 * record is written; an entry is three short texts, and `retain` drops those that no version needs any more.
 */
export class UnpackedCode {
  readonly #packages: CodePackages;
  readonly #codeDirectories = new Map<string, string>();
  readonly #layerDirectories = new Map<string, string | undefined>();

  constructor(packages: CodePackages) {
    this.#packages = packages;
  }

  /** Throws INVALID_CODE_PACKAGE or STORE_FAILED where the code cannot be unpacked. */
  async prepare(code: CodeRef, layers: readonly CodeRef[]): Promise<CodeDirectories> {
    const known = this.get(code, layers);
    if (known !== undefined) return known;
    const [codeDirectory, layerDirectory] = await Promise.all([
      this.#packages.directory(code),
      layers.length === 0 ? undefined : this.#packages.layerDirectory(layers),
    ]);
    this.#codeDirectories.set(code.zipDigest, codeDirectory);
    this.#layerDirectories.set(layersKey(layers), layerDirectory);
    return { codeDirectory, layerDirectory };
  }

  get(code: CodeRef, layers: readonly CodeRef[]): CodeDirectories | undefined {
    const codeDirectory = this.#codeDirectories.get(code.zipDigest);
    const key = layersKey(layers);
    if (codeDirectory === undefined || !(layers.length === 0 || this.#layerDirectories.has(key)))
      return undefined;
    return { codeDirectory, layerDirectory: this.#layerDirectories.get(key) };
  }

  retain(digests: ReadonlySet<string>): void {
    for (const digest of this.#codeDirectories.keys()) {
      if (!digests.has(digest)) this.#codeDirectories.delete(digest);
    }
    for (const key of this.#layerDirectories.keys()) {
      if (!key.split(',').every((digest) => digests.has(digest))) this.#layerDirectories.delete(key);
    }
  }
}

function layersKey(layers: readonly CodeRef[]): string {
  return layers.map((layer) => layer.zipDigest).join(',');
}
