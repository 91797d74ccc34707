import { open, type FileHandle } from 'node:fs/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { usedBuffer } from '../../base/buffer-garbage.ts';
import type { BlobSource, Descriptor } from '../blob-source.ts';
import { openSource } from '../open-source.ts';
import type { ChunkBlob } from '../tiers/blob-tier.ts';
import type { DerivedImage, DerivedImages } from './derived-images.ts';
import type { ImageSource } from './image-source.ts';

interface OpenBlob {
  readonly blob: ChunkBlob;
  readonly close: () => Promise<void>;
  uses: number;
}

/** The blobs of the images that are served, each opened once however many images share it. */
export class ImageBlobs {
  readonly #derived: DerivedImages;
  readonly #insecureRegistries: readonly string[];
  readonly #copies: BlobSource | undefined;
  readonly #open: Record<'local' | 'registry', Map<string, OpenBlob>> = {
    local: new Map(),
    registry: new Map(),
  };

  /** `copies`: where other machines left layers; whoever gives it closes it. */
  constructor(derived: DerivedImages, insecureRegistries: readonly string[], copies?: BlobSource) {
    this.#derived = derived;
    this.#insecureRegistries = insecureRegistries;
    this.#copies = copies;
  }

  local(digest: string): ChunkBlob | undefined {
    return this.#open.local.get(digest)?.blob;
  }

  registry(digest: string): ChunkBlob | undefined {
    return this.#open.registry.get(digest)?.blob;
  }

  /** Gives what ends the use. */
  use({ image, reference, setting }: ImageSource, { layers }: DerivedImage): () => void {
    let source: { readonly opened: BlobSource; uses: number } | undefined;
    const ends: (() => void)[] = [];
    for (const layer of layers) {
      const descriptor = image.layers.find(({ digest }) => digest === layer.digest);
      if (layer.place === 'local') {
        ends.push(this.#hold('local', layer.blob, () => this.#localBlob(layer.digest)));
      } else if (layer.place === 'copies') {
        ends.push(this.useCopy(layer.blob, layer.size));
      } else if (descriptor !== undefined) {
        source ??= { opened: openSource(reference, setting, this.#insecureRegistries), uses: 0 };
        const held = source;
        ends.push(this.#hold('registry', layer.blob, () => registryBlob(held, descriptor)));
      }
    }
    // Whoever shares a blob of this source keeps it open.
    if (source?.uses === 0) void source.opened.close();
    return () => {
      for (const end of ends) end();
    };
  }

  /** A blob that stands where copies do; gives what ends the use. */
  useCopy(digest: string, size: number): () => void {
    const copies = this.#copies;
    if (copies === undefined) return () => undefined;
    return this.#hold('registry', digest, () => copiedBlob(copies, { mediaType: '', digest, size }));
  }

  #hold(place: 'local' | 'registry', digest: string, make: () => Omit<OpenBlob, 'uses'>): () => void {
    const all = this.#open[place];
    const held = all.get(digest) ?? { ...make(), uses: 0 };
    all.set(digest, held);
    held.uses += 1;
    return () => {
      held.uses -= 1;
      if (held.uses > 0) return;
      all.delete(digest);
      void held.close();
    };
  }

  #localBlob(layer: string): Omit<OpenBlob, 'uses'> {
    let file: Promise<FileHandle> | undefined;
    const derived = this.#derived;
    const read: ChunkBlob['read'] = async function* (start, ends, _signal, memory = newMemory) {
      const path = derived.converted(layer)?.path;
      if (path === undefined)
        throw new ThawError('IMAGE_NOT_FOUND', `the converted copy of layer ${layer} is gone`);
      file ??= open(path, 'r');
      let from = start;
      for (const end of ends) {
        const bytes = memory(end - from);
        const { bytesRead } = await (await file).read(bytes, 0, bytes.length, from);
        from = end;
        yield bytes.subarray(0, bytesRead);
      }
    };
    const close = async (): Promise<void> => {
      await (await file?.catch(() => undefined))?.close();
    };
    return { blob: { read }, close };
  }
}

function copiedBlob(source: BlobSource, descriptor: Descriptor): Omit<OpenBlob, 'uses'> {
  return { blob: { read: partsOf(source, descriptor) }, close: () => Promise.resolve() };
}

function registryBlob(
  source: { readonly opened: BlobSource; uses: number },
  descriptor: ImageSource['image']['layers'][number],
): Omit<OpenBlob, 'uses'> {
  source.uses += 1;
  return {
    blob: { read: partsOf(source.opened, descriptor) },
    close: async () => {
      source.uses -= 1;
      if (source.uses === 0) await source.opened.close();
    },
  };
}

function newMemory(bytes: number): Uint8Array {
  return new Uint8Array(bytes);
}

/** One request, cut at the ends of the parts as its bytes come. The last part is short where the stream was. */
function partsOf(source: BlobSource, descriptor: Descriptor): ChunkBlob['read'] {
  return async function* (start, ends, signal, memory = newMemory) {
    const stream = await source.blob(descriptor, { range: { start, end: ends.at(-1) ?? start }, signal });
    let index = 0;
    let from = start;
    let part = memory((ends[0] ?? start) - start);
    let filled = 0;
    for await (const data of stream as AsyncIterable<Buffer>) {
      usedBuffer(data.length);
      // It is read to its end, so that the connection can be used again.
      for (let taken = 0; taken < data.length && index < ends.length;) {
        const length = Math.min(data.length - taken, part.length - filled);
        part.set(data.subarray(taken, taken + length), filled);
        taken += length;
        filled += length;
        if (filled < part.length) break;
        yield part;
        from = ends[index] ?? from;
        index += 1;
        if (index < ends.length) part = memory((ends[index] ?? from) - from);
        filled = 0;
      }
    }
    if (filled > 0 && index < ends.length) yield part.subarray(0, filled);
  };
}
