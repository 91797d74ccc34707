import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { z } from 'zod';

const HEADER_BYTES_MAX = 16 * 1024;
const NEWLINE = 10;

export interface ArchiveLimits {
  readonly bytesMax: number;
  readonly filesMax: number;
}

/** The first part of the path is one of the places that a preparation may fill. */
const headerSchema = z.union([
  z.object({ end: z.literal(true) }),
  z.object({
    path: z.string().refine((path) => /^(cache|code|layers)\//u.test(path) && isPlain(path)),
    size: z.int().min(0),
  }),
]);

/**
 * Writes the files of an archive below `directory` and gives their paths. An archive is a line of JSON with path and size
 * before each file's bytes, and `{"end":true}` at last (docs/RUNTIMES.md). It comes from a process with user code in it,
 * so nothing of it is trusted. Throws RESPONSE_INVALID or RESPONSE_TOO_LARGE.
 */
export async function receiveArchive(
  source: Readable,
  directory: string,
  limits: ArchiveLimits,
): Promise<string[]> {
  const reader = new ByteReader(source);
  const paths: string[] = [];
  let bytes = 0;
  for (;;) {
    const header = parseHeader(await reader.line(HEADER_BYTES_MAX));
    if ('end' in header) return paths;
    bytes += header.size;
    if (bytes > limits.bytesMax || paths.length >= limits.filesMax) {
      throw new ThawError(
        'RESPONSE_TOO_LARGE',
        `prepared code has more than ${limits.filesMax} files or ${limits.bytesMax} bytes`,
      );
    }
    const file = join(directory, header.path);
    await mkdir(dirname(file), { recursive: true });
    // A path that comes twice would replace what the first one said.
    await writeFile(file, await reader.bytes(header.size), { flag: 'wx', mode: 0o644 });
    paths.push(header.path);
  }
}

function parseHeader(line: string): z.infer<typeof headerSchema> {
  try {
    return headerSchema.parse(JSON.parse(line));
  } catch (cause) {
    throw invalid('has a header that cannot be read', cause);
  }
}

function isPlain(path: string): boolean {
  return (
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..') && !path.includes('\0')
  );
}

function invalid(what: string, cause?: unknown): ThawError {
  return new ThawError('RESPONSE_INVALID', `prepared code ${what}`, cause === undefined ? {} : { cause });
}

/** Gives lines and blocks of a stream, each as soon as it is there whole. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: Readable) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  async line(bytesMax: number): Promise<string> {
    let end = this.#rest.indexOf(NEWLINE);
    while (end < 0) {
      if (this.#rest.length > bytesMax) throw invalid('has a header that does not end');
      await this.#more();
      end = this.#rest.indexOf(NEWLINE);
    }
    const line = this.#rest.toString('utf8', 0, end);
    this.#rest = this.#rest.subarray(end + 1);
    return line;
  }

  async bytes(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = count;
    for (;;) {
      const part = this.#rest.subarray(0, missing);
      parts.push(part);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      if (missing === 0) return Buffer.concat(parts, count);
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const next = await this.#chunks.next();
    if (next.done === true) throw invalid('ended early');
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
  }
}
