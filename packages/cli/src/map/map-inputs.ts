import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** More tasks than this are a job for a queue. */
const INPUTS_MAX = 1_000_000;

/** One event of a map. */
export interface MapInput {
  /** Of its result. */
  readonly name: string;
  /** SHA-256 of the bytes. */
  readonly digest: string;
  read(): Promise<Buffer>;
}

export interface InputSources {
  readonly files: readonly string[];
  /** A file whose lines are events; `-` is standard input. */
  readonly lines: string | undefined;
}

/** Files become events as they are, and so do the lines of a file, without their ends. Throws INVALID_ARGUMENT. */
export async function readInputs({ files, lines }: InputSources): Promise<MapInput[]> {
  if (files.length > 0 === (lines !== undefined)) {
    throw new ThawError('INVALID_ARGUMENT', 'name files as inputs, or a file of lines with --lines');
  }
  const inputs = lines === undefined ? await Promise.all(files.map(fileInput)) : await lineInputs(lines);
  if (inputs.length === 0) throw new ThawError('INVALID_ARGUMENT', `there is no line in ${String(lines)}`);
  if (inputs.length > INPUTS_MAX) {
    throw new ThawError('INVALID_ARGUMENT', `a map takes at most ${INPUTS_MAX} inputs, not ${inputs.length}`);
  }
  return inputs;
}

async function fileInput(path: string): Promise<MapInput> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash).catch((cause: unknown) => {
    throw new ThawError('INVALID_ARGUMENT', `reading the input ${path}`, { cause });
  });
  return { name: basename(path), digest: hash.digest('hex'), read: () => readFile(path) };
}

async function lineInputs(path: string): Promise<MapInput[]> {
  const source = path === '-' ? process.stdin : createReadStream(path);
  const whole = await text(source).catch((cause: unknown) => {
    throw new ThawError('INVALID_ARGUMENT', `reading the inputs from ${path}`, { cause });
  });
  const lines = whole.split(/\r?\n/u).filter((line) => line !== '');
  const width = String(lines.length - 1).length;
  return lines.map((line, index) => ({
    name: String(index).padStart(width, '0'),
    digest: createHash('sha256').update(line).digest('hex'),
    read: () => Promise.resolve(Buffer.from(line)),
  }));
}
