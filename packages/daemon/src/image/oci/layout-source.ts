import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import {
  MANIFEST_BYTES_MAX,
  type BlobOptions,
  type BlobSource,
  type Descriptor,
  type ManifestDocument,
} from '../blob-source.ts';
import type { LayoutReference } from '../image-reference.ts';
import { cutStream, verifiedStream } from '../registry/verified-stream.ts';
import { parseIndex } from './manifest-json.ts';

const DIGEST = /^sha256:([0-9a-f]{64})$/u;
const TAG_ANNOTATION = 'org.opencontainers.image.ref.name';

/** A directory in the OCI image layout 1.1, as `skopeo` and `umoci` write it. */
export class LayoutSource implements BlobSource {
  readonly name: string;
  readonly #reference: LayoutReference;

  constructor(reference: LayoutReference) {
    this.name = `layout ${reference.directory}`;
    this.#reference = reference;
  }

  async manifest(reference?: string): Promise<ManifestDocument> {
    const { digest, tag } = this.#reference;
    const asked = reference ?? digest ?? tag;
    const isDigest = asked !== undefined && DIGEST.test(asked);
    const found = isDigest ? { digest: asked, mediaType: '' } : await this.#tagged(asked);
    const bytes = await this.#file(this.#blobPath(found.digest), `manifest ${found.digest}`);
    const actual = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (actual !== found.digest)
      throw new ThawError('IMAGE_CORRUPT', `manifest ${found.digest} of ${this.name} has digest ${actual}`);
    return { mediaType: found.mediaType, digest: actual, bytes };
  }

  async blob(descriptor: Descriptor, { range, signal }: BlobOptions = {}): Promise<Readable> {
    const { digest, size } = descriptor;
    const path = this.#blobPath(digest);
    const what = `blob ${digest} of ${this.name}`;
    await stat(path).catch((cause: unknown) => {
      throw notThere(what, cause);
    });
    const end = range === undefined ? size : Math.min(range.end, size);
    const stream = createReadStream(path, {
      ...(range === undefined ? {} : { start: range.start, end: end - 1 }),
      ...(signal === undefined ? {} : { signal }),
    });
    return range === undefined
      ? verifiedStream(stream, descriptor, this.name)
      : cutStream(stream, 0, end - range.start, what);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #tagged(tag: string | undefined): Promise<{ digest: string; mediaType: string }> {
    const bytes = await this.#file(join(this.#reference.directory, 'index.json'), 'index.json');
    const manifests = parseIndex(bytes, `index.json of ${this.name}`);
    const matching = manifests.filter(
      ({ annotations }) => tag === undefined || annotations?.[TAG_ANNOTATION] === tag,
    );
    const [only] = matching;
    if (only === undefined) throw notThere(`image ${tag ?? ''} of ${this.name}`, undefined);
    if (tag === undefined && matching.length > 1) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `${this.name} holds several images: name one as oci:<directory>:<tag>`,
      );
    }
    return only;
  }

  async #file(path: string, what: string): Promise<Buffer> {
    const file = await open(path).catch((cause: unknown) => {
      throw notThere(`${what} of ${this.name}`, cause);
    });
    try {
      const { size } = await file.stat();
      if (size > MANIFEST_BYTES_MAX)
        throw new ThawError(
          'IMAGE_TOO_LARGE',
          `${what} of ${this.name} is larger than ${MANIFEST_BYTES_MAX} bytes`,
        );
      return await file.readFile();
    } finally {
      await file.close();
    }
  }

  #blobPath(digest: string): string {
    const hex = DIGEST.exec(digest)?.[1];
    if (hex === undefined)
      throw new ThawError('INVALID_IMAGE', `${JSON.stringify(digest)} is no sha256 digest`);
    return join(this.#reference.directory, 'blobs', 'sha256', hex);
  }
}

function notThere(what: string, cause: unknown): ThawError {
  return new ThawError('IMAGE_NOT_FOUND', `${what} is not there`, { cause });
}
