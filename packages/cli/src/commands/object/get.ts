import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { s3Call } from '../../api/object-api.ts';
import type { Command } from '../../command.ts';
import { formatBytes } from '../../output/format.ts';

interface Options {
  readonly output?: string;
}

export const command: Command = {
  name: 'object get',
  summary: 'fetch an object',
  arguments: [
    { name: 'bucket', summary: 'where it is' },
    { name: 'key', summary: 'its key' },
  ],
  options: [{ flags: '-o, --output <file>', summary: 'where to write it; standard output by default' }],
  examples: [
    { run: 'thaw object get uploads note.txt', does: 'onto the terminal' },
    { run: 'thaw object get uploads image/cat.jpg -o cat.jpg', does: 'into a file' },
  ],
  run: async ({ output, connect }, [bucket = '', key = ''], { output: file }: Options) => {
    const response = await (await connect()).open(s3Call({ method: 'GET', bucket, key }));
    if (file === undefined) {
      await pipeline(response, output.stdout, { end: false });
      return;
    }
    // What is there stays until the new one is whole.
    const beside = `${file}.${process.pid}.part`;
    try {
      await pipeline(response, createWriteStream(beside));
      await rename(beside, file);
    } finally {
      await rm(beside, { force: true });
    }
    const size = Number(response.headers['content-length']);
    output.result({ bucket, key, size, file }, () => [`${file}: ${formatBytes(size)}`]);
  },
};
