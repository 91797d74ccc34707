import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** A longer line is not one of the platform's. */
const LINE_CHARACTERS_MAX = 16 * 1024 * 1024;

/** The JSON values of a stream that holds one per line, as they come. Closes the stream when the reader stops. */
export async function* readNdjson<T>(stream: Readable): AsyncGenerator<T, void, void> {
  let rest = '';
  try {
    for await (const chunk of stream.setEncoding('utf8')) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LINE_CHARACTERS_MAX) throw new Error('a line does not end');
      for (const line of lines) {
        if (line === '') continue;
        const value: T = JSON.parse(line);
        yield value;
      }
    }
  } catch (error) {
    throw new ThawError('PLATFORM_UNREACHABLE', 'reading a stream from the platform', { cause: error });
  }
}
