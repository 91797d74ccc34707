import { join } from 'node:path';
import type { Clock } from './base/clock.ts';
import type { DataDirectory } from './base/data-directory.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { ImageStore } from './image/image-store.ts';
import { LazyMounter } from './image/imaged/lazy-mounter.ts';
import { TraceStore } from './image/trace/trace-store.ts';
import { FullPullMounter } from './image/unpack/full-pull-mounter.ts';
import type { Records } from './store/records.ts';

/** Parts of images that are kept on disk, and how much of the network fetching ahead may take in a second. */
const IMAGE_CACHE_BYTES_DEFAULT = 10 * 1024 ** 3;
const IMAGE_PREFETCH_DEFAULT = 128 * 1024 ** 2;

export interface DaemonImagesDeps {
  readonly data: Pick<DataDirectory, 'path'>;
  readonly mountDirectory: string;
  readonly records: Records;
  readonly clock: Clock;
  readonly options: DaemonOptions;
}

export interface DaemonImages {
  readonly images: ImageStore;
  readonly mounter: LazyMounter;
}

/** Opens the images of functions and what brings them here; `open` closes it. */
export async function openDaemonImages(
  open: AsyncDisposableStack,
  { data, mountDirectory, records, clock, options }: DaemonImagesDeps,
): Promise<DaemonImages> {
  const { log, insecureRegistries = [] } = options;
  const directory = join(data.path, 'images');
  const mounter = new LazyMounter({
    full: await FullPullMounter.open({ directory, insecureRegistries }),
    isEnabled: options.mountsLazily ?? true,
    directory,
    mountDirectory,
    cacheBytesMax: options.imageCacheBytesMax ?? IMAGE_CACHE_BYTES_DEFAULT,
    collectsBuffers: options.collectsBuffers ?? true,
    prefetchBytesPerSecondMax: options.imagePrefetchBytesPerSecondMax ?? IMAGE_PREFETCH_DEFAULT,
    insecureRegistries,
    zone: options.imageZone,
    copies: options.imageCopies,
    traces: new TraceStore(records),
    clock,
    log,
  });
  const images = open.adopt(new ImageStore({ mounter, insecureRegistries, log }), (opened) => opened.close());
  return { images, mounter };
}
