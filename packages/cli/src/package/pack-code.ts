import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ZipFile } from 'yazl';
import { Crc64 } from './crc64.ts';
import { type BundledCode, type BundleOptions, bundleCode } from './bundle-code.ts';
import { type CodeEntry, IGNORE_FILE, listCode } from './list-code.ts';

/** A zip on disk that is ready to upload. Dispose of it: what was made for it is deleted. */
export interface CodePackage extends AsyncDisposable {
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  /** Decimal CRC-64/XZ. */
  readonly checksum: string;
  /** What the one who deploys should know of it. */
  readonly notes: readonly string[];
}

/** How the handlers' modules become one file each. */
export type Bundling = Omit<BundleOptions, 'directory'>;

/**
 * A zip has no zone for its times and cannot hold one before 1980, so the first moment it can hold, in whatever zone
 * this machine is, is the one that is written the same everywhere.
 */
const FIXED_TIME = new Date(1980, 0, 1);
const MODE_LINK = 0o120777;
const MODE_EXECUTABLE = 0o100755;
const MODE_FILE = 0o100644;
const MODE_DIRECTORY = 0o40755;

/** Packs a directory, or takes a zip or jar as it is. */
export async function packCode(path: string, bundling?: Bundling): Promise<CodePackage> {
  const stats = await stat(path).catch((error: unknown) => {
    throw new ThawError('INVALID_ARGUMENT', `reading the code at ${path}`, { cause: error });
  });
  const codePackage = stats.isDirectory() ? await packDirectory(path, bundling) : await measure(path);
  if (codePackage.size <= LIMITS.codeObjectBytesMax) return codePackage;
  await codePackage[Symbol.asyncDispose]();
  throw new ThawError(
    'LIMIT_EXCEEDED',
    `the code at ${path} is ${codePackage.size} bytes zipped, and ${LIMITS.codeObjectBytesMax} are allowed`,
    { details: { advice: `Keep what the function does not need out with ${IGNORE_FILE}.` } },
  );
}

async function packDirectory(path: string, bundling: Bundling | undefined): Promise<CodePackage> {
  const sources = await listCode(path);
  await using bundle =
    bundling === undefined ? undefined : await bundleCode({ ...bundling, directory: path }, sources);
  const entries = bundle?.entries ?? sources;
  if (!entries.some((entry) => entry.kind === 'file')) {
    throw new ThawError('INVALID_ARGUMENT', `there is no file in the code directory ${path}`, {
      details: { advice: `Check \`code\` in s.yaml and ${IGNORE_FILE}.` },
    });
  }
  const directory = await mkdtemp(join(tmpdir(), 'thaw-code-'));
  const dispose = (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    const file = join(directory, 'code.zip');
    const meter = new Meter();
    writeZip(entries, meter);
    await pipeline(meter, createWriteStream(file));
    return {
      file,
      size: meter.size,
      checksum: meter.checksum.digest(),
      notes: bundle === undefined ? [] : bundleNotes(bundle),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function measure(file: string): Promise<CodePackage> {
  const meter = new Meter();
  await pipeline(createReadStream(file), meter.resume());
  return {
    file,
    size: meter.size,
    checksum: meter.checksum.digest(),
    notes: [],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function bundleNotes({ unbundled, warnings }: BundledCode): string[] {
  if (unbundled.length === 0) return [...warnings];
  return [`not bundled, because they hold machine code: ${unbundled.join(', ')}`, ...warnings];
}

/** Starts to write a zip to `out`. The order of `entries` is the order in the zip. */
function writeZip(entries: readonly CodeEntry[], out: Transform): void {
  const zip = new ZipFile();
  const shared = { mtime: FIXED_TIME, forceDosTimestamp: true };
  // The library reports a file that cannot be read on itself, not on its output.
  zip.on('error', (error: Error) => out.destroy(error));
  for (const entry of entries) {
    switch (entry.kind) {
      case 'directory':
        zip.addEmptyDirectory(entry.path, { ...shared, mode: MODE_DIRECTORY });
        break;
      case 'link':
        zip.addBuffer(Buffer.from(entry.target), entry.path, { ...shared, mode: MODE_LINK, compress: false });
        break;
      case 'file':
        zip.addReadStreamLazy(
          entry.path,
          { ...shared, mode: entry.isExecutable ? MODE_EXECUTABLE : MODE_FILE },
          (done) => {
            const stream = createReadStream(entry.source);
            stream.once('error', (error) => zip.emit('error', error));
            done(undefined, stream);
          },
        );
        break;
    }
  }
  zip.end();
  zip.outputStream.pipe(out);
}

/** Passes bytes on, counts them and sums them up. */
class Meter extends Transform {
  readonly checksum = new Crc64();
  size = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.checksum.update(chunk);
    this.size += chunk.length;
    this.push(chunk);
    done();
  }
}
