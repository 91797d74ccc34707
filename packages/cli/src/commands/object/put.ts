import { createHash } from 'node:crypto';
import { createReadStream, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { s3Call } from '../../api/object-api.ts';
import type { Command } from '../../command.ts';

interface Options {
  readonly data?: string;
  readonly file?: string;
  readonly type?: string;
}

interface Content {
  readonly body: Readable;
  /** Both are known where the content can be read twice. */
  readonly size?: number;
  readonly sha256?: string;
}

export const command: Command = {
  name: 'object put',
  summary: 'store an object',
  details: 'When the command ends, the object is on disk and its triggers will be told.',
  arguments: [
    { name: 'bucket', summary: 'where to' },
    { name: 'key', summary: 'its key' },
  ],
  options: [
    { flags: '-f, --file <path>', summary: 'a file with its content; - is standard input, the default' },
    { flags: '-d, --data <text>', summary: 'its content' },
    { flags: '--type <type>', summary: 'its content type' },
  ],
  examples: [
    { run: 'thaw object put uploads image/cat.jpg -f cat.jpg --type image/jpeg', does: 'a picture' },
  ],
  run: async ({ output, connect }, [bucket = '', key = ''], { data, file, type }: Options) => {
    if (data !== undefined && file !== undefined)
      throw new ThawError('INVALID_ARGUMENT', 'the content is given twice, with -d and with -f');
    const client = await connect();
    const { body, size, sha256 } = data === undefined ? await contentOf(file ?? '-') : textContent(data);
    const call = s3Call({
      method: 'PUT',
      bucket,
      key,
      headers: {
        ...(type === undefined ? {} : { 'content-type': type }),
        ...(size === undefined ? {} : { 'content-length': String(size) }),
      },
      ...(sha256 === undefined ? {} : { bodySha256: sha256 }),
    });
    const request = client.start(call);
    const answered = client.response(request);
    // A refusal ends the upload; it, and not the broken pipe, is what there is to tell.
    const [response] = await Promise.all([answered, pipeline(body, request).catch(() => undefined)]);
    response.resume();
    const etag = (response.headers.etag ?? '').replaceAll('"', '');
    output.result({ bucket, key, etag }, () => [`stored ${key} in ${bucket}`]);
  },
};

function textContent(text: string): Content {
  const bytes = Buffer.from(text);
  return {
    body: Readable.from([bytes]),
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
}

async function contentOf(file: string): Promise<Content> {
  if (file === '-') return { body: process.stdin };
  const { size } = await statOf(file);
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return { body: createReadStream(file), size, sha256: hash.digest('hex') };
}

async function statOf(file: string): Promise<Stats> {
  try {
    const found = await stat(file);
    if (found.isFile()) return found;
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', `reading the content from ${file}`, { cause });
  }
  throw new ThawError('INVALID_ARGUMENT', `${file} is no file`);
}
