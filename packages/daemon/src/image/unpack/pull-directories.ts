import { join } from 'node:path';

export interface PullDirectories {
  /** Layers as they came. */
  readonly blobs: string;
  /** Merged images, each with `<name>.json` that says which layers it is made of. */
  readonly roots: string;
}

export function pullDirectories(directory: string): PullDirectories {
  return { blobs: join(directory, 'blobs'), roots: join(directory, 'roots') };
}

/** The name of an image's directory. */
export function rootName(digest: string): string {
  return digest.replace('sha256:', '');
}
