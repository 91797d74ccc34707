import { writeSync } from 'node:fs';
import type { Blobs } from './blobs.ts';
import type { Records } from './records.ts';

/** What the contract suites run in a child process until it is killed: each line on stdout is an acknowledgement. */

/**
 * Step n writes `left/n` and `right/n` in one batch; every third step also deletes the pair n / 3 in one batch. The
 * acknowledgement is `n revision`, the revision being that of a further put of `last`.
 */
export function writeRecordsForever(records: Records, first: number): never {
  for (let n = first; ; n += 1) {
    records.batch([
      { kind: 'put', key: `left/${n}`, value: { n } },
      { kind: 'put', key: `right/${n}`, value: { n } },
    ]);
    if (n % 3 === 0) {
      records.batch([
        { kind: 'delete', key: `left/${n / 3}` },
        { kind: 'delete', key: `right/${n / 3}` },
      ]);
    }
    const revision = records.put('last', n);
    writeSync(1, `${n} ${revision}\n`);
  }
}

const CRASH_BLOB_BYTES = 200_000;

/** Puts blobs of distinct bytes; the acknowledgement is the digest. */
export async function writeBlobsForever(blobs: Blobs, seed: string): Promise<never> {
  for (let n = 0; ; n += 1) {
    const { digest } = await blobs.put(
      Buffer.from(`${seed} ${n} `.repeat(CRASH_BLOB_BYTES / 20)),
      2 * CRASH_BLOB_BYTES,
    );
    writeSync(1, `${digest}\n`);
  }
}
