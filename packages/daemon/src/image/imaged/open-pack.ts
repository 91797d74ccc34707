import type { ChunkRef } from '../chunks/chunk-ref.ts';
import { newServedPack, type ServedPack } from '../fuse/served-image.ts';
import type { PackIndex, TracePack } from '../trace/trace-pack.ts';

export interface OpenPackOptions {
  /** Where a frame is on disk by now, if it is. */
  readonly placeOf: (digest: string) => number | undefined;
  readonly onClose: () => void;
}

/** A pack that a mount is served from as far as it holds what is read. */
export class OpenPack {
  readonly pack: TracePack;
  readonly served: ServedPack;
  readonly frames: readonly ChunkRef[];
  /** Chunks that had to be asked for all the same. */
  readonly missed = new Set<number>();
  readonly #occurrences = new Map<string, number[]>();
  readonly #onClose: () => void;

  constructor(pack: TracePack, index: PackIndex, { placeOf, onClose }: OpenPackOptions) {
    this.pack = pack;
    this.served = newServedPack(index);
    this.frames = index.frames.map((frame) => ({ ...frame, blob: pack.blob }));
    this.#onClose = onClose;
    for (const [frame, { digest }] of this.frames.entries()) {
      const others = this.#occurrences.get(digest) ?? [];
      this.#occurrences.set(digest, [...others, frame]);
      this.setPlace(digest, placeOf(digest) ?? 0);
    }
  }

  /** Of a frame, if it is one; 0: it is not on disk any more. */
  setPlace(digest: string, place: number): void {
    for (const frame of this.#occurrences.get(digest) ?? []) Atomics.store(this.served.places, frame, place);
  }

  close(): void {
    this.#onClose();
  }
}
