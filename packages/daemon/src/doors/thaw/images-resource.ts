import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ImageListing, ImageStore } from '../../image/image-store.ts';
import type { FunctionVersion } from '../../model/function.ts';
import { noSuchMethod, type ThawAnswer, type ThawCall, type ThawResource } from './thaw-resource.ts';

export interface ImagesDeps {
  readonly images: Pick<ImageStore, 'list' | 'require'>;
  /** Every version on record that runs from an image. */
  readonly versions: () => readonly FunctionVersion[];
}

/** `/thaw/v1/images`: the images that functions run from, and `images/<digest or name>`: one of them in full. */
export class ImagesResource implements ThawResource {
  readonly #deps: ImagesDeps;

  constructor(deps: ImagesDeps) {
    this.#deps = deps;
  }

  owns([collection = '']: readonly string[]): boolean {
    return collection === 'images';
  }

  handle(call: ThawCall): ThawAnswer {
    const [, name = '', ...rest] = call.segments;
    if (rest.length > 0) throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${call.path}`);
    if (call.method !== 'GET') throw noSuchMethod(call);
    if (name === '') return { json: { images: this.#deps.images.list().map((each) => this.#summary(each)) } };
    const found = this.#deps.images.require(name);
    const { config, layers } = found.image;
    return { json: { ...this.#summary(found), config, layers } };
  }

  #summary({ uri, image, state, mounts }: ImageListing): Readonly<Record<string, unknown>> {
    const users = this.#deps
      .versions()
      .filter((version) => version.image?.image.digest === image.digest)
      .map(({ config, versionId }) => ({ functionName: config.functionName, versionId }));
    return {
      uri,
      digest: image.digest,
      layerCount: image.layers.length,
      bytes: image.layers.reduce((sum, { size }) => sum + size, 0),
      state: state.state,
      ...(state.state === 'ready' ? { mode: state.mode, reason: state.reason } : {}),
      ...(state.state === 'failed'
        ? { error: { code: state.error.code, message: state.error.message } }
        : {}),
      instances: mounts,
      usedBy: users,
    };
  }
}
