/**
 * The process that converts one image, or packs one trace: it reads strangers' archives and keeps a processor busy for as
 * long as the image is large, which neither the gateway nor those who wait for chunks should notice. It lives as long as
 * its channel.
 */
import { constants as fileConstants, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from '../../base/disk-problem.ts';
import { LayerCopies } from '../copies/layer-copies.ts';
import { openSource } from '../open-source.ts';
import { INDEX_BYTES_MAX, type IndexedPack } from '../trace/trace-pack.ts';
import { writePack } from '../trace/write-pack.ts';
import { convertImage } from './convert-image.ts';
import type { ConverterAnswer, ConverterRequest, ConverterResult, PackJob } from './converter.ts';
import { DerivedImages, type DerivedImage } from './derived-images.ts';
import type { ImageSource } from './image-source.ts';

process.on('message', (request: ConverterRequest) => void answer(request));
process.on('disconnect', () => process.exit(0));
// A terminal sends these to the whole process group; whoever started this decides when it ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

async function answer(request: ConverterRequest): Promise<void> {
  const copies =
    request.copies === undefined ? undefined : new LayerCopies(request.copies, request.insecureRegistries);
  let given: ConverterAnswer;
  try {
    given = await run(request, copies);
  } catch (thrown) {
    const { job } = request;
    const doing =
      job.type === 'convert'
        ? `converting image ${job.source.image.digest}`
        : `packing what is read of image ${job.digest}`;
    const { code, message } = ThawError.from(thrown, `${doing}: ${String(thrown)}`);
    given = { type: 'failure', code, message };
  } finally {
    await copies?.close();
  }
  process.send?.(given, () => {
    if (process.connected) process.disconnect?.();
  });
}

async function run(request: ConverterRequest, copies: LayerCopies | undefined): Promise<ConverterResult> {
  const { job } = request;
  return job.type === 'convert'
    ? { type: 'derived', derived: await convert(job.source, request, copies) }
    : { type: 'packed', pack: await pack(job, request, copies) };
}

async function convert(
  { image, reference, setting }: ImageSource,
  { directory, insecureRegistries }: ConverterRequest,
  copies: LayerCopies | undefined,
): Promise<DerivedImage> {
  const source = openSource(reference, setting, insecureRegistries);
  const onProblem = (what: string, error: unknown): void => {
    const text = `${what}: ${error instanceof Error ? error.message : String(error)}`;
    process.send?.({ type: 'problem', text } satisfies ConverterAnswer);
  };
  try {
    const derived = new DerivedImages(directory);
    return await convertImage(image, source, { derived, directory, copies, onProblem });
  } finally {
    await source.close();
  }
}

/** What is read of the image is read past the page cache: nobody reads it again. */
async function pack(
  { digest, path, ...source }: PackJob,
  { directory }: ConverterRequest,
  copies: LayerCopies | undefined,
): Promise<IndexedPack> {
  if (copies === undefined) throw new ThawError('STORE_FAILED', 'there is nowhere to leave a pack');
  const image = await open(path, fileConstants.O_RDONLY | fileConstants.O_DIRECT);
  const temporary = new DerivedImages(directory).temporary('layers');
  try {
    const file = await open(temporary, 'wx', 0o600);
    let packed: IndexedPack;
    try {
      packed = await writePack({ ...source, image }, file);
    } finally {
      await file.close();
    }
    if (packed.index.length > INDEX_BYTES_MAX)
      throw new ThawError('STORE_FAILED', `the index of a pack of image ${digest} is too large to be kept`);
    await copies.pushPack(digest, { path: temporary, digest: packed.blob, size: packed.size });
    return packed;
  } catch (error) {
    if (error instanceof ThawError) throw error;
    const problem = diskProblem(error) ?? 'a file could not be written or read';
    throw new ThawError('STORE_FAILED', `packing what is read of image ${digest}: ${problem}`, {
      cause: error,
    });
  } finally {
    await image.close();
    rmSync(temporary, { force: true });
  }
}
