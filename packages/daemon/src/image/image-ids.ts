/**
 * Owners of files in images. Where the platform is root, programs of images run in a user namespace that maps their ids
 * from 0 up to host ids that own nothing else: root inside is nobody outside. Files on the host carry the moved ids, so
 * that inside they belong to whom the image says. The range is one for all images: files of an image are shared by all
 * its instances, and instances are kept apart by their other namespaces.
 */
export const IMAGE_IDS_FIRST = 1_900_000_000;
/** Ids above are nobody's: such files belong to `NOBODY`. */
export const IMAGE_IDS = 2 ** 24;
const NOBODY = 65_534;

export interface ImageIds {
  /** Host id of an id in an image. */
  readonly toHost: (id: number) => number;
}

/** Undefined where the platform is an ordinary user: then every file belongs to it. */
export function imageIds(): ImageIds | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return { toHost: (id) => IMAGE_IDS_FIRST + (id < IMAGE_IDS ? id : NOBODY) };
}
