import { createHash, hash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import { isBodylessAnswer } from '../model/bodyless-answer.ts';
import type { KeptAnswer, KeptCalls } from '../store/kept-calls.ts';
import { endAnswer } from './end-answer.ts';

/** Of a larger answer it is kept that the call was carried out. */
export const ANSWER_BYTES_MAX = 1024 * 1024;
const KEY_CHARACTERS_MAX = 255;
/** What a caller waits before it asks again for an answer that another call of its key waits for. */
const RETRY_AFTER_S = 1;

/** What was called and by whom. */
export interface IdempotentCall {
  readonly functionName: string;
  /** Keys of different callers are different keys. */
  readonly caller: string;
  readonly key: string;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly body: Buffer;
}

/** The right to carry out a call; given back by exactly one of both. */
export interface IdempotentTurn {
  /** Settles when the answer is on disk, or has been reported as lost. */
  keep(answer: Pick<KeptAnswer, 'status' | 'rawHeaders' | 'body'>): Promise<void>;
  /** Nothing was carried out to its end: the next call of this key begins anew. */
  release(): void;
}

export interface IdempotentCallsDeps {
  readonly calls: Pick<KeptCalls, 'answer' | 'keepAnswer'>;
  readonly clock: Clock;
  readonly report: PlatformLog;
}

/**
 * Calls with an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): each key is carried out once, and its
 * first complete answer is given to all who ask again.
 */
export class IdempotentCalls {
  readonly #deps: IdempotentCallsDeps;
  /** What was asked, by the scope of each call that runs: as many as there are running requests. */
  readonly #running = new Map<string, string>();

  constructor(deps: IdempotentCallsDeps) {
    this.#deps = deps;
  }

  /**
   * The answer that is kept, or the turn to carry the call out. Throws IDEMPOTENCY_KEY_IN_USE, IDEMPOTENCY_KEY_REUSED,
   * IDEMPOTENCY_ANSWER_NOT_KEPT, STORE_FAILED.
   */
  begin(call: IdempotentCall): KeptAnswer | IdempotentTurn {
    const { functionName, caller, key } = call;
    const scope = hash('sha256', JSON.stringify([functionName, caller, key]));
    const fingerprint = fingerprintOf(call);
    const running = this.#running.get(scope);
    const kept = running === undefined ? this.#deps.calls.answer(scope) : undefined;
    const first = running ?? kept?.fingerprint;
    if (first !== undefined && first !== fingerprint) {
      throw new ThawError(
        'IDEMPOTENCY_KEY_REUSED',
        'this Idempotency-Key came before with another method, address or body: a new call needs a new key',
      );
    }
    if (running !== undefined) {
      throw new ThawError(
        'IDEMPOTENCY_KEY_IN_USE',
        'the first call with this Idempotency-Key is still running',
        { retryAfterS: RETRY_AFTER_S },
      );
    }
    if (kept === undefined) return this.#turn(functionName, scope, fingerprint);
    if (kept.body === undefined) {
      const limit = `${ANSWER_BYTES_MAX / 1024 / 1024} MB`;
      throw new ThawError(
        'IDEMPOTENCY_ANSWER_NOT_KEPT',
        `the call with this Idempotency-Key was carried out; its answer was larger than the ${limit} that are kept`,
      );
    }
    return kept;
  }

  #turn(functionName: string, scope: string, fingerprint: string): IdempotentTurn {
    this.#running.set(scope, fingerprint);
    const { calls, clock, report } = this.#deps;
    const release = (): void => {
      this.#running.delete(scope);
    };
    return {
      release,
      keep: async (answer) => {
        try {
          await calls.keepAnswer({ scope, functionName, fingerprint, keptAt: clock.now(), ...answer });
        } catch (error) {
          const told = `an answer of function '${functionName}' could not be kept: its Idempotency-Key begins anew`;
          report('error', told, error);
        } finally {
          release();
        }
      },
    };
  }
}

/** The key of a call; undefined where it has none. Throws INVALID_ARGUMENT. */
export function idempotencyKeyOf(request: IncomingMessage): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && key.length <= KEY_CHARACTERS_MAX && /^[\x20-\x7e]+$/.test(key)) return key;
  throw new ThawError(
    'INVALID_ARGUMENT',
    `Idempotency-Key must be 1 to ${KEY_CHARACTERS_MAX} printable ASCII characters`,
    { details: { field: 'Idempotency-Key' } },
  );
}

/** An asynchronous call is made once by the id of its task. Throws INVALID_ARGUMENT. */
export function requireNoIdempotencyKey(request: IncomingMessage, instead: string): void {
  if (request.headers['idempotency-key'] === undefined) return;
  throw new ThawError('INVALID_ARGUMENT', `Idempotency-Key is for synchronous calls: ${instead}`, {
    details: { field: 'Idempotency-Key' },
  });
}

/** Tells the caller that nothing was run for it. */
export function sendKept(response: ServerResponse, { status, rawHeaders, body }: KeptAnswer): void {
  if (response.destroyed) return;
  const bytes = Buffer.from(body ?? []);
  const isBodyless = isBodylessAnswer(response.req.method, status);
  const length = isBodyless ? [] : ['Content-Length', String(bytes.length)];
  response.writeHead(status, [...rawHeaders, ...length, 'Idempotency-Replayed', 'true']);
  endAnswer(response, isBodyless ? Buffer.alloc(0) : bytes);
}

function fingerprintOf({ method, url, body }: IdempotentCall): string {
  return createHash('sha256').update(`${method} ${url}\n`).update(body).digest('hex');
}
