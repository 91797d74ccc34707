import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** The JSON values of a stream that holds one per line, as they come. Closes the stream when the reader stops. */
export async function* readNdjson<T>(stream: Readable): AsyncGenerator<T, void, void> {
  const lines = createInterface({ input: stream, crlfDelay: Infinity });
  // readline does not pass the stream's errors on; without this a broken connection would look like the end.
  let failure: Error | undefined;
  stream.on('error', (error) => {
    failure = error;
    lines.close();
  });
  try {
    for await (const line of lines) {
      if (line === '') continue;
      const value: T = parseLine(line);
      yield value;
    }
    if (failure !== undefined) {
      throw new ThawError('PLATFORM_UNREACHABLE', 'reading a stream from the platform', { cause: failure });
    }
  } finally {
    lines.close();
    stream.destroy();
  }
}

function parseLine(line: string): ReturnType<typeof JSON.parse> {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new ThawError('INTERNAL', 'reading a line from the platform', { cause: error });
  }
}
