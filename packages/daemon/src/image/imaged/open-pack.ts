import type { ChunkRef } from '../chunks/chunk-ref.ts';
import { newServedPack, type ServedPack } from '../fuse/served-image.ts';
import type { IndexedPack, PackIndex } from '../trace/trace-pack.ts';

export interface OpenPackOptions {
  /** Where a frame is on disk by now, if it is. */
  readonly placeOf: (digest: string) => number | undefined;
  readonly onClose: () => void;
}

/** A pack that a mount is served from as far as it holds what is read. */
export class OpenPack {
  readonly pack: IndexedPack;
  readonly served: ServedPack;
  readonly frames: readonly ChunkRef[];
  /** Chunks that had to be asked for all the same. */
  readonly missed = new Set<number>();
  /** Who waits for a frame waits no longer than this. */
  readonly closed: Promise<undefined>;
  readonly #occurrences = new Map<string, number[]>();
  readonly #close: () => void;

  constructor(pack: IndexedPack, index: PackIndex, { placeOf, onClose }: OpenPackOptions) {
    this.pack = pack;
    this.served = newServedPack(index);
    this.frames = index.frames.map((frame) => ({ ...frame, blob: pack.blob }));
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.closed = promise;
    this.#close = () => {
      resolve(undefined);
      onClose();
    };
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
    this.#close();
  }
}
