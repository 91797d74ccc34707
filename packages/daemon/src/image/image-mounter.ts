import type { Acceleration } from './acceleration.ts';
import type { RegistrySetting } from './blob-source.ts';
import type { ImageFacts } from './image-facts.ts';
import type { ImageReference } from './image-reference.ts';
import type { Image } from './image.ts';

/**
 * Gives images as directories of the host. Two ways exist: `FullPullMounter` (`unpack/`) has everything on disk before it
 * answers, the lazy one mounts a file system whose content comes as it is read.
 *
 * Contract of every mounter:
 *  1. A directory that is given holds the whole merged image, read-only by agreement: nobody writes into it.
 *  2. Owners are those of the image, moved by `imageIds()` where the platform is root; otherwise everything
 *     belongs to the platform's user.
 *  3. Mounts of one image share their work and their directory; each is released once, and the directory stays at
 *     least until the last release.
 *  4. `collect` takes away what belongs to images that are not live and are not mounted.
 *  5. Nothing half-made is ever given, whatever died in between.
 */
export interface ImageMounter {
  mount(request: MountRequest): Promise<RootFileSystem>;
  /** Digests of images that a function version names. */
  collect(live: ReadonlySet<string>): Promise<number>;
  close(): Promise<void>;
}

export interface MountRequest {
  readonly image: Image;
  /** Where the blobs are: what `openSource` takes, so that a process of its own can ask for them. */
  readonly reference: ImageReference;
  readonly setting: RegistrySetting;
  /** `<function>@<revision>`: what a trace of first reads is kept under. */
  readonly versionKey: string;
  /** `lazy` where absent. */
  readonly acceleration?: Acceleration;
}

export interface RootFileSystem {
  /** Directory on the host: the lower layer of instances' overlays. */
  readonly path: string;
  readonly mode: 'full' | 'lazy' | 'eager';
  /** Why this mode, in words for the function's log. */
  readonly reason: string;
  /** The instance has given its first answer: what it reads much later is no part of its start. Idempotent. */
  answered?(): void;
  /** Idempotent. */
  release(): void;
}

/** With what the platform must know of the files before it starts something: it never reads them itself. */
export interface MountedImage extends RootFileSystem {
  readonly facts: ImageFacts;
}
