/** What images are is part of a function's version, so the types stand below. */
export type { Image, ImageConfig, ImageLayer } from '../model/image.ts';
