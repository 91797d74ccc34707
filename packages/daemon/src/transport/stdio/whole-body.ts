import type { Readable } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { ReportedError } from '../transport.ts';

/**
 * The whole body of a request: a program on stdin is told the length before the first byte, and a sender that breaks off
 * halfway must not put the program out of step. Calls back once.
 */
export function wholeBody(
  body: Buffer | Readable,
  onDone: (body: Buffer, refusal: ReportedError | undefined) => void,
): void {
  if (Buffer.isBuffer(body)) {
    onDone(body, undefined);
    return;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  let isDone = false;
  const finish = (refusal: string | undefined): void => {
    if (isDone) return;
    isDone = true;
    body.off('data', onData);
    // The rest is read and dropped, so that the caller's connection can carry the answer.
    body.resume();
    if (refusal === undefined) onDone(Buffer.concat(chunks, bytes), undefined);
    else onDone(EMPTY, { errorType: 'BodyRefused', errorMessage: refusal, handled: true, fatal: false });
  };
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > LIMITS.syncPayloadBytesMax)
      finish(`the request's body is larger than ${LIMITS.syncPayloadBytesMax} bytes`);
  };
  body.on('data', onData);
  body.once('end', () => finish(undefined));
  body.once('error', () => finish('the caller broke off within the request'));
  body.once('close', () => finish('the caller broke off within the request'));
}

const EMPTY = Buffer.alloc(0);
