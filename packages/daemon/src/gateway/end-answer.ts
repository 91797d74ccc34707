import type { CallerAnswer } from './door.ts';
import { SmallAnswer } from './small/small-answer.ts';

/** A caller that still sends so long after its answer has had the time to read it. */
const LINGER_MS_MAX = 10_000;
/** Up to this size a body is joined to its head and leaves as one string: half the cost of a write of two buffers. */
const JOINED_BYTES_MAX = 16 * 1024;

/**
 * Ends an answer whose head is written. Where the connection closes with it while the request is still coming, the end
 * waits until the rest has come and been dropped: closing at once would reset the connection, and a caller that is
 * busy sending would lose the answer that it has not read yet (RFC 9112, section 9.6).
 */
export function endAnswer(response: CallerAnswer, body: Buffer): void {
  if (response instanceof SmallAnswer) {
    response.finish(body);
    return;
  }
  const request = response.req;
  if (response.shouldKeepAlive || request.complete || request.destroyed) {
    if (body.length > JOINED_BYTES_MAX) response.end(body);
    else response.end(body.toString('latin1'), 'latin1');
    return;
  }
  response.flushHeaders();
  if (body.length > 0) response.write(body);
  const end = (): void => {
    clearTimeout(limit);
    request.off('end', end);
    request.off('close', end);
    response.end();
  };
  const limit = setTimeout(end, LINGER_MS_MAX);
  request.once('end', end);
  request.once('close', end);
  request.resume();
}
