import type { Readable } from 'node:stream';
import type { CodeRef } from '../model/function.ts';

/** What the catalog needs of the store that keeps and unpacks code. */
export interface CodePackages {
  /** Keeps a zip. Throws INVALID_CODE_PACKAGE, PAYLOAD_TOO_LARGE. */
  add(zip: Buffer | Readable): Promise<CodeRef>;
  /** The immutable directory with the unpacked files; unpacks them when they are not there. */
  directory(code: CodeRef): Promise<string>;
  /** The immutable directory with layers merged, the first one on top; undefined for none. */
  layerDirectory(layers: readonly CodeRef[]): Promise<string | undefined>;
}
