import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/**
 * Reads a whole body of at most `bytesMax`, and calls back once: with the bytes, with PAYLOAD_TOO_LARGE as soon as one
 * byte more has come, or with BODY_TRUNCATED when the sender broke off. Callbacks, since this runs for every request.
 */
export function collectBody(
  source: Readable,
  bytesMax: number,
  onDone: (error: ThawError | undefined, body: Buffer) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let isDone = false;
  const finish = (error: ThawError | undefined): void => {
    if (isDone) return;
    isDone = true;
    source.off('data', onData);
    // The rest is read and dropped, so that the connection can carry the answer.
    if (error !== undefined) source.resume();
    const [only] = chunks;
    onDone(
      error,
      error === undefined
        ? chunks.length === 1 && only !== undefined
          ? only
          : Buffer.concat(chunks, bytes)
        : EMPTY,
    );
  };
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      finish(
        new ThawError('PAYLOAD_TOO_LARGE', `the body is larger than ${bytesMax} bytes`, {
          details: { bytesMax },
        }),
      );
    } else {
      chunks.push(chunk);
    }
  };
  source.on('data', onData);
  source.once('end', () => finish(undefined));
  source.once('error', () => finish(truncated()));
  source.once('close', () => finish(truncated()));
}

const EMPTY = Buffer.alloc(0);

function truncated(): ThawError {
  return new ThawError('BODY_TRUNCATED', 'the connection was closed before the whole body had come');
}
