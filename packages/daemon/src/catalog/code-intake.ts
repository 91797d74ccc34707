import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CodeStore } from '../code/code-store.ts';
import type { CodeRef } from '../model/function.ts';

/** What the catalog needs of the code store. */
export type CodePackages = Pick<CodeStore, 'add' | 'directory' | 'layerDirectory' | 'collect'>;

/** A zip that a client sends, and what it claims of it. */
export interface NewCode {
  readonly zip: Buffer | Readable;
  readonly bytesMax: number;
  /** Decimal CRC-64. */
  readonly checksum?: string | undefined;
}

/** Keeps a zip. Throws INVALID_CODE_PACKAGE, PAYLOAD_TOO_LARGE, or INVALID_ARGUMENT for another checksum than claimed. */
export async function takeIn(packages: CodePackages, code: NewCode): Promise<CodeRef> {
  const ref = await packages.add(code.zip, code.bytesMax);
  if (code.checksum !== undefined && code.checksum !== ref.checksum) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `code.checksum is ${code.checksum} but the CRC-64 of the zip is ${ref.checksum}`,
      { details: { field: 'code.checksum' } },
    );
  }
  return ref;
}
