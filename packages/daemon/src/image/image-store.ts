import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CustomContainerConfig, RegistryConfig, ResolvedImage } from '../model/function.ts';
import type { Image } from '../model/image.ts';
import { accelerationOf, type Acceleration } from './acceleration.ts';
import type { RegistrySetting } from './blob-source.ts';
import { readImageFacts, type ImageFacts } from './image-facts.ts';
import type { ImageMounter, MountedImage, RootFileSystem } from './image-mounter.ts';
import { formatImageReference, parseImageReference, withDigest } from './image-reference.ts';
import { readImage } from './oci/read-image.ts';
import { openSource } from './open-source.ts';

/** How far an image is on this machine. */
export type ImageState =
  | { readonly state: 'pending' }
  | { readonly state: 'ready'; readonly mode: RootFileSystem['mode']; readonly reason: string }
  | { readonly state: 'failed'; readonly error: ThawError };

/** An image that versions of functions name, as the operator sees it. */
export interface ImageListing {
  readonly uri: string;
  readonly image: Image;
  readonly state: ImageState;
  /** Instances that run from it now. */
  readonly mounts: number;
}

interface Known {
  readonly uri: string;
  readonly image: Image;
  state: ImageState;
  mounts: number;
  /** Once it was mounted. */
  facts: ImageFacts | undefined;
}

export interface ImageStoreOptions {
  readonly mounter: ImageMounter;
  /** Registries that may be asked over plain HTTP. */
  readonly insecureRegistries: readonly string[];
  /** Told of an image that could not be brought here, and of one that is. */
  readonly log: (level: 'info' | 'error', text: string, error?: unknown) => void;
}

/** Resolving a name asks a registry for two small documents, and a deployment waits for it. */
const RESOLVE_MS_MAX = 60_000;

/**
 * The images of functions on this machine: what a name means, how far each image is, and root file systems of them. What
 * it remembers is what is on record and what was asked for; the mounter has the files.
 */
export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: ImageStoreOptions) {
    this.#options = options;
  }

  /** What the image's name means now: its digest for this machine, and what it says of itself. */
  async resolve(config: CustomContainerConfig): Promise<ResolvedImage> {
    const reference = parseImageReference(config.image);
    const source = openSource(
      reference,
      registrySetting(config.registryConfig ?? {}),
      this.#options.insecureRegistries,
    );
    const signal = AbortSignal.timeout(RESOLVE_MS_MAX);
    try {
      const image = await readImage(source, signal);
      return { uri: formatImageReference(withDigest(reference, image.digest)), image };
    } finally {
      await source.close();
    }
  }

  /** Begins to bring an image here. Failures are kept as its state; the next start tries again. */
  prepare(
    image: ResolvedImage,
    config: Pick<CustomContainerConfig, 'registryConfig' | 'accelerationType'>,
  ): void {
    this.mount(image, config.registryConfig ?? {}, '', accelerationOf(config))
      .then((root) => {
        this.#options.log('info', `image ${image.uri} is ready: ${root.reason}`);
        root.release();
      })
      .catch((error: unknown) => {
        this.#options.log('error', `image ${image.uri} could not be brought here`, error);
      });
  }

  /** A root file system for one instance, brought here first where it must be. `versionKey` is empty for no instance. */
  async mount(
    resolved: ResolvedImage,
    registry: RegistryConfig,
    versionKey: string,
    acceleration: Acceleration = 'lazy',
  ): Promise<MountedImage> {
    const { image, uri } = resolved;
    const known: Known = this.#known.get(image.digest) ?? {
      uri,
      image,
      state: { state: 'pending' },
      mounts: 0,
      facts: undefined,
    };
    this.#known.set(image.digest, known);
    if (known.state.state === 'failed') known.state = { state: 'pending' };
    try {
      const reference = parseImageReference(uri);
      const setting = registrySetting(registry);
      const root = await this.#options.mounter.mount({
        image,
        reference,
        setting,
        versionKey,
        acceleration,
      });
      // A digest means the same files for ever; reading them again could mean another way to the registry.
      known.facts ??= await readImageFacts(root.path, image.config.workingDirectory).catch(
        (error: unknown) => {
          root.release();
          throw error;
        },
      );
      const { facts } = known;
      known.state = { state: 'ready', mode: root.mode, reason: root.reason };
      known.mounts += 1;
      let isReleased = false;
      const release = (): void => {
        if (isReleased) return;
        isReleased = true;
        known.mounts -= 1;
        root.release();
      };
      return { ...root, facts, release };
    } catch (thrown) {
      const error = ThawError.from(thrown, `bringing image ${uri} here`);
      // What another mount has shown to be there stays so.
      if (known.state.state !== 'ready') known.state = { state: 'failed', error };
      throw error;
    }
  }

  /** `pending` for an image that nobody has asked for yet. */
  state(digest: string): ImageState {
    return this.#known.get(digest)?.state ?? { state: 'pending' };
  }

  list(): ImageListing[] {
    return [...this.#known.values()]
      .map(({ uri, image, state, mounts }) => ({ uri, image, state, mounts }))
      .toSorted((one, other) => (one.uri < other.uri ? -1 : 1));
  }

  /** By digest, by the digest's first characters, or by the name in whole. Throws IMAGE_NOT_FOUND. */
  require(name: string): ImageListing {
    const wanted = name.replace(/^sha256:/u, '');
    const matching = this.list().filter(
      ({ uri, image }) =>
        uri === name || (/^[0-9a-f]{6,64}$/u.test(wanted) && image.digest.startsWith(`sha256:${wanted}`)),
    );
    const [only] = matching;
    if (only !== undefined && matching.length === 1) return only;
    const why = only === undefined ? 'is not here' : 'is the beginning of several';
    throw new ThawError('IMAGE_NOT_FOUND', `image '${name}' ${why}`, { details: { image: name } });
  }

  /** Takes away what belongs to images that no version names and no instance runs from. */
  async collect(live: ReadonlySet<string>): Promise<number> {
    for (const [digest, { mounts, state }] of this.#known) {
      if (!live.has(digest) && mounts === 0 && state.state !== 'pending') this.#known.delete(digest);
    }
    return await this.#options.mounter.collect(live);
  }

  close(): Promise<void> {
    return this.#options.mounter.close();
  }
}

function registrySetting({ authConfig, certConfig }: RegistryConfig): RegistrySetting {
  const { userName, password } = authConfig ?? {};
  const { insecure, rootCaCertBase64 = '' } = certConfig ?? {};
  return {
    ...(userName === undefined ? {} : { userName }),
    ...(password === undefined ? {} : { password }),
    ...(insecure === undefined ? {} : { insecure }),
    ...(rootCaCertBase64 === ''
      ? {}
      : { rootCertificate: Buffer.from(rootCaCertBase64, 'base64').toString('utf8') }),
  };
}
