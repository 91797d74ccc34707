import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { Image } from '../../model/image.ts';
import type { RegistrySetting } from '../blob-source.ts';
import type { ImageReference } from '../image-reference.ts';

/** What the daemon and the process that pulls say to each other. */
export interface PullRequest {
  readonly id: number;
  readonly image: Image;
  readonly reference: ImageReference;
  readonly setting: RegistrySetting;
}

export interface PullOptions {
  readonly directory: string;
  readonly insecureRegistries: readonly string[];
}

export type PullAnswer =
  | { readonly id: number; readonly path: string }
  | { readonly id: number; readonly code: ErrorCode; readonly message: string };
