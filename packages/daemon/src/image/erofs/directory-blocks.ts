import assert from 'node:assert/strict';
import { BLOCK, DIRENT_BYTES } from './erofs-format.ts';

export interface DirectoryEntry {
  readonly name: Buffer;
  readonly type: number;
}

/** How a directory's entries are spread over blocks: each block holds records, then the names they point at. */
export interface DirectoryPlan {
  readonly entries: readonly DirectoryEntry[];
  /** Index of the first entry of each block. */
  readonly starts: readonly number[];
  readonly size: number;
}

/** Entries with `.` and `..` among them; the kernel searches by halves, so they stand in the order of their bytes. */
export function planDirectory(unsorted: readonly DirectoryEntry[]): DirectoryPlan {
  const entries = unsorted.toSorted((left, right) => Buffer.compare(left.name, right.name));
  const starts = [0];
  let used = 0;
  for (const [index, { name }] of entries.entries()) {
    const bytes = DIRENT_BYTES + name.length;
    if (used + bytes > BLOCK) {
      starts.push(index);
      used = 0;
    }
    used += bytes;
  }
  return { entries, starts, size: (starts.length - 1) * BLOCK + used };
}

/** `nidOf` gives the inode number of the entry at an index. */
export function writeDirectory(
  image: Buffer,
  plan: DirectoryPlan,
  placeOf: (block: number) => number,
  nidOf: (index: number) => number,
): void {
  for (const [block, start] of plan.starts.entries()) {
    const end = plan.starts[block + 1] ?? plan.entries.length;
    const base = placeOf(block);
    let nameAt = (end - start) * DIRENT_BYTES;
    for (let index = start; index < end; index += 1) {
      const entry = plan.entries[index];
      assert(entry !== undefined);
      const at = base + (index - start) * DIRENT_BYTES;
      image.writeBigUInt64LE(BigInt(nidOf(index)), at);
      image.writeUInt16LE(nameAt, at + 8);
      image.writeUInt8(entry.type, at + 10);
      entry.name.copy(image, base + nameAt);
      nameAt += entry.name.length;
    }
  }
}
