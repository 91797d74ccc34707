import { descendants, memoryOf, type MemoryFigures } from './process-figures.ts';
import type { Thaw } from './thaw.ts';

/** The memory of everything below the platform: its launcher, and all sandboxes with what runs in them. */
export function sandboxMemory(thaw: Thaw): MemoryFigures {
  return memoryOf(descendants(thaw.pid));
}

/** What came in addition, in megabytes for each of so many. */
export function addedMegabytes(
  before: MemoryFigures,
  after: MemoryFigures,
  count: number,
): { readonly proportional: number; readonly private: number } {
  const each = 1024 * 1024 * count;
  return {
    proportional: (after.proportional - before.proportional) / each,
    private: (after.private - before.private) / each,
  };
}
