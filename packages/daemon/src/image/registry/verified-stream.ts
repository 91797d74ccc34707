import { createHash } from 'node:crypto';
import { Transform, pipeline, type Readable, type TransformCallback } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Descriptor } from '../blob-source.ts';

/** The bytes of a whole blob, failing with IMAGE_CORRUPT as soon as they are not those that the descriptor names. */
export function verifiedStream(source: Readable, { digest, size }: Descriptor, from: string): Readable {
  const hash = createHash('sha256');
  let bytes = 0;
  const corrupt = (what: string): ThawError =>
    new ThawError('IMAGE_CORRUPT', `blob ${digest} from ${from} ${what}`, { details: { digest } });
  const verify = new Transform({
    transform(part: Buffer, _encoding, done: TransformCallback) {
      bytes += part.length;
      if (bytes > size) {
        done(corrupt(`has more than its ${size} bytes`));
        return;
      }
      hash.update(part);
      done(null, part);
    },
    flush(done: TransformCallback) {
      if (bytes < size) done(corrupt(`ended after ${bytes} of ${size} bytes`));
      else if (`sha256:${hash.digest('hex')}` !== digest)
        done(corrupt('has other bytes than its digest says'));
      else done();
    },
  });
  return joined(source, verify);
}

/** Exactly `length` bytes behind the first `skip` ones, whatever else comes. */
export function cutStream(source: Readable, skip: number, length: number, what: string): Readable {
  let skipped = 0;
  let given = 0;
  const cut = new Transform({
    transform(part: Buffer, _encoding, done: TransformCallback) {
      const from = Math.min(part.length, skip - skipped);
      skipped += from;
      const taken = part.subarray(from, from + length - given);
      given += taken.length;
      done(null, taken);
    },
    flush(done: TransformCallback) {
      if (given === length) done();
      else done(new ThawError('IMAGE_CORRUPT', `${what} ended after ${given} of ${length} bytes`));
    },
  });
  return joined(source, cut);
}

/** The second stream, whose end is the end of both. */
function joined(source: Readable, into: Transform): Readable {
  pipeline(source, into, () => undefined);
  return into;
}
