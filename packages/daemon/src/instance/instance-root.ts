import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ImageStore } from '../image/image-store.ts';
import type { MountedImage } from '../image/image-mounter.ts';
import type { RunnableVersion } from '../model/runnable.ts';

/** The root file system of one instance that runs from an image: had before its sandbox, let go of after it. */
export class InstanceRoot {
  readonly #release = Promise.withResolvers<never>();
  #isReleased = false;
  #root: MountedImage | undefined;

  constructor() {
    // Mostly nobody waits for it.
    this.#release.promise.catch(() => undefined);
  }

  /** Undefined for a function that has no image. Throws what bringing the image here does; a release ends the wait. */
  async mount(
    images: Pick<ImageStore, 'mount'> | undefined,
    { container, key, functionName }: RunnableVersion,
  ): Promise<MountedImage | undefined> {
    if (container === undefined) return undefined;
    if (images === undefined)
      throw new ThawError('RUNTIME_UNAVAILABLE', `function '${functionName}': this platform has no images`);
    const mounting = images.mount(container, container.registry, key, container.acceleration);
    // The image may arrive when nobody wants it any more.
    mounting.then((root) => this.#keep(root)).catch(() => undefined);
    return await Promise.race([mounting, this.#release.promise]);
  }

  /** The instance has answered: its start is over. */
  answered(): void {
    this.#root?.answered?.();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#release.reject(new ThawError('SHUTTING_DOWN', 'the instance ended before its image was here'));
    this.#root?.release();
  }

  #keep(root: MountedImage): void {
    if (this.#isReleased) root.release();
    else this.#root = root;
  }
}
