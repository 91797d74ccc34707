import type { RegistrySetting } from '../blob-source.ts';
import type { ImageReference } from '../image-reference.ts';
import type { Image } from '../image.ts';

/** An image and where its layers are: all that a process of its own needs to get at them. */
export interface ImageSource {
  readonly image: Image;
  readonly reference: ImageReference;
  readonly setting: RegistrySetting;
}
