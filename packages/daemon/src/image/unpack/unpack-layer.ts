import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Transform, pipeline, type TransformCallback } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { extract, type Header } from 'tar-stream';
import { diskProblem } from '../../base/disk-problem.ts';
import type { ImageLayer } from '../../model/image.ts';
import type { ImageTree, LayerEntry } from './image-tree.ts';

/** Decompressed bytes that an image may still bring; shared by all its layers. */
export interface ByteBudget {
  left: number;
}

/**
 * Unpacks a verified layer into the tree. Throws INVALID_IMAGE with the entry's name, IMAGE_CORRUPT where the tar is not
 * the one of its diffId, IMAGE_TOO_LARGE, STORE_FAILED.
 */
export async function unpackLayer(
  file: string,
  layer: ImageLayer,
  tree: ImageTree,
  budget: ByteBudget,
): Promise<void> {
  const hash = createHash('sha256');
  let entryName = '';
  const counted = new Transform({
    transform(part: Buffer, _encoding, done: TransformCallback) {
      budget.left -= part.length;
      if (budget.left < 0) {
        done(new ThawError('IMAGE_TOO_LARGE', 'the image has more bytes than may be, unpacked'));
        return;
      }
      hash.update(part);
      done(null, part);
    },
  });
  const archive = extract();
  const opened = createReadStream(file);
  const decompress = await decompressorFor(file);
  let failure: Error | undefined;
  const onEnd = (error?: Error | null): void => {
    failure ??= error ?? undefined;
  };
  if (decompress === undefined) pipeline(opened, counted, archive, onEnd);
  else pipeline(opened, decompress, counted, archive, onEnd);
  try {
    for await (const entry of archive) {
      entryName = entry.header.name;
      await tree.add(layerEntry(entry.header), contentOf(entry));
    }
    tree.endLayer();
  } catch (error) {
    opened.destroy();
    throw unpackError(failure ?? error, layer, entryName);
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== layer.diffId)
    throw new ThawError('IMAGE_CORRUPT', `layer ${layer.digest} unpacks to ${found}, not to ${layer.diffId}`);
}

async function* contentOf(entry: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  for await (const part of entry) {
    if (part instanceof Buffer) yield part;
  }
}

const GZIP = Buffer.from([0x1f, 0x8b]);
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** By the first bytes: media types are wrong at times, in Docker's world most of all. */
async function decompressorFor(file: string): Promise<Transform | undefined> {
  const handle = await open(file);
  try {
    const { buffer: first } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    if (first.subarray(0, 2).equals(GZIP)) return createGunzip();
    return first.equals(ZSTD) ? createZstdDecompress() : undefined;
  } finally {
    await handle.close();
  }
}

const KINDS: Readonly<Record<string, LayerEntry['kind']>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'symlink',
  link: 'link',
  'character-device': 'device',
  'block-device': 'device',
  fifo: 'fifo',
};

function layerEntry(header: Header): LayerEntry {
  const kind = KINDS[header.type];
  if (kind === undefined) throw new ThawError('INVALID_IMAGE', `it is of a kind that is not known`);
  const pax = typeof header.pax === 'object' && header.pax !== null ? header.pax : {};
  return {
    name: header.name,
    kind,
    linkName: header.linkname ?? '',
    mode: header.mode,
    uid: idOf(Reflect.get(pax, 'uid'), header.uid),
    gid: idOf(Reflect.get(pax, 'gid'), header.gid),
    mtime: secondsOf(Reflect.get(pax, 'mtime'), header.mtime),
  };
}

const ID_MAX = 2 ** 32 - 2;

function idOf(extended: unknown, plain: number): number {
  const id = extended === undefined ? plain : Number(extended);
  if (!Number.isInteger(id) || id < 0 || id > ID_MAX)
    throw new ThawError('INVALID_IMAGE', 'its owner is no number of a user');
  return id;
}

const TIME_S_MAX = 2 ** 33;

function secondsOf(extended: unknown, plain: Date): number {
  const seconds = extended === undefined ? plain.getTime() / 1000 : Number(extended);
  return Number.isFinite(seconds) && Math.abs(seconds) < TIME_S_MAX ? seconds : 0;
}

const WRONG_NAMES: ReadonlySet<unknown> = new Set([
  'ENAMETOOLONG',
  'ELOOP',
  'EILSEQ',
  'ENOTDIR',
  'EISDIR',
  'EMLINK',
]);

function unpackError(error: unknown, { digest }: ImageLayer, entryName: string): ThawError {
  const where = `layer ${digest}${entryName === '' ? '' : `, entry ${JSON.stringify(entryName.slice(0, 200))}`}`;
  if (error instanceof ThawError)
    return new ThawError(error.code, `${where}: ${error.message}`, {
      cause: error.cause,
      details: { layer: digest },
    });
  const problem = diskProblem(error);
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  const message = error instanceof Error ? error.message : String(error);
  if (problem === undefined && WRONG_NAMES.has(code))
    return new ThawError('INVALID_IMAGE', `${where}: its path cannot be (${String(code)})`, { cause: error });
  const isOfDisk = problem !== undefined || (error instanceof Error && 'syscall' in error);
  if (isOfDisk)
    return new ThawError('STORE_FAILED', `${where}: ${problem ?? 'could not be written'}`, { cause: error });
  // The archive or its compression: the bytes are those of the digest, so that they were made wrong.
  return new ThawError('INVALID_IMAGE', `${where}: ${message}`, { cause: error, details: { layer: digest } });
}
