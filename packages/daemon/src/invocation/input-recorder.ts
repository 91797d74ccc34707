import { Transform, type Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import type { KeptCalls } from '../store/kept-calls.ts';
import type { InvocationRequest, Payload } from './invocation.ts';

/** Of a larger input it is kept that it was too large. */
export const INPUT_BYTES_MAX = 4 * 1024 * 1024;
/** A disk that refuses fails every input; it is told so often. */
const TELL_FAILURE_MS = 10_000;

export interface InputRecorderDeps {
  readonly calls: Pick<KeptCalls, 'keepInput'>;
  readonly clock: Clock;
  readonly report: PlatformLog;
}

/**
 * Keeps the inputs of functions that want it, beside the invocation and never before it: one that cannot be kept is
 * reported, and runs all the same.
 */
export class InputRecorder {
  readonly #deps: InputRecorderDeps;
  #toldFailureMs = -Infinity;

  constructor(deps: InputRecorderDeps) {
    this.#deps = deps;
  }

  /** Gives what to run with: a body that streams is kept as the function reads it. */
  record(request: InvocationRequest): Payload {
    const { payload, taskId } = request;
    if (taskId !== undefined) {
      this.#keep(request, { taskId });
    } else if (payload.kind === 'event') {
      this.#keep(request, bounded(payload.body));
    } else if (payload.upgrade === undefined) {
      const { method, url, base, rawHeaders, remoteAddress, scheme, body } = payload;
      const http = JSON.stringify({ method, url, base, rawHeaders, remoteAddress, scheme });
      if (Buffer.isBuffer(body)) {
        this.#keep(request, { http, ...bounded(body) });
      } else {
        const tee = teeOf(body, (bytes) =>
          this.#keep(request, { http, ...(bytes === undefined ? {} : { bytes }) }),
        );
        return { ...payload, body: tee };
      }
    }
    return payload;
  }

  #keep(request: InvocationRequest, input: { http?: string; taskId?: string; bytes?: Buffer }): void {
    const { requestId, runnable, qualifier, trigger } = request;
    const { calls, clock, report } = this.#deps;
    const { functionName } = runnable;
    const kept = { requestId, functionName, qualifier, trigger, keptAt: clock.now(), ...input };
    calls.keepInput(kept).catch((thrown: unknown) => {
      const nowMs = clock.monotonicMs();
      if (nowMs - this.#toldFailureMs < TELL_FAILURE_MS) return;
      this.#toldFailureMs = nowMs;
      report('error', `the input of invocation ${requestId} could not be kept`, ThawError.from(thrown, ''));
    });
  }
}

function bounded(bytes: Buffer): { bytes?: Buffer } {
  return bytes.length > INPUT_BYTES_MAX ? {} : { bytes };
}

/** Passes on what comes and tells it when all has come; nothing where there was more than is kept. */
function teeOf(source: Readable, onWhole: (bytes: Buffer | undefined) => void): Readable {
  let chunks: Buffer[] = [];
  let size = 0;
  const tee = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size <= INPUT_BYTES_MAX) chunks.push(chunk);
      else chunks = [];
      done(null, chunk);
    },
    flush(done) {
      onWhole(size <= INPUT_BYTES_MAX ? Buffer.concat(chunks, size) : undefined);
      done();
    },
  });
  const onBroken = (): void => {
    if (source.readableEnded) return;
    tee.destroy(new ThawError('BODY_TRUNCATED', 'the connection was closed before the whole body had come'));
  };
  source.once('error', onBroken);
  source.once('close', onBroken);
  tee.once('close', () => {
    // A function that wants no more: the rest is read and dropped, so that the connection can carry the answer.
    source.unpipe(tee);
    if (!source.readableEnded && !source.destroyed) source.resume();
  });
  // The failure is its reader's; without one there is nobody to tell.
  tee.on('error', () => undefined);
  source.pipe(tee);
  return tee;
}
