import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { Agent, type Dispatcher } from 'undici';
import type { RegistrySetting } from '../blob-source.ts';

/** One answer; whoever gets it reads or destroys the body. */
export interface RegistryAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

export interface RegistryRequest {
  readonly url: URL;
  /** `GET` where absent. */
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Made anew for each attempt. */
  readonly body?: () => Readable | Buffer;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

const CONNECT_MS_MAX = 10_000;
const HEADERS_MS_MAX = 30_000;
/** Between two parts of a body. */
const BODY_MS_MAX = 60_000;
const CONNECTIONS_MAX = 16;
const ATTEMPTS_MAX = 5;
const FIRST_WAIT_MS = 200;
const WAIT_MS_MAX = 15_000;
const AGAIN: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Requests to one registry and to where it redirects, asked again where a failure may pass: each may come twice. */
export class RegistryTransport {
  readonly #agent: Agent;
  readonly #name: string;

  constructor(name: string, { insecure, rootCertificate }: RegistrySetting) {
    this.#name = name;
    this.#agent = new Agent({
      connections: CONNECTIONS_MAX,
      pipelining: 1,
      headersTimeout: HEADERS_MS_MAX,
      bodyTimeout: BODY_MS_MAX,
      connect: {
        timeout: CONNECT_MS_MAX,
        rejectUnauthorized: insecure !== true,
        ...(rootCertificate === undefined ? {} : { ca: rootCertificate }),
      },
    });
  }

  /** Any status is an answer but those that may pass: they are asked again, then REGISTRY_FAILED. */
  async get(request: RegistryRequest): Promise<RegistryAnswer> {
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt >= ATTEMPTS_MAX;
      let waitMs = Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** (attempt - 1));
      try {
        const answer = await this.#once(request);
        if (!AGAIN.has(answer.status)) return answer;
        answer.body.destroy();
        if (isLast) throw this.#failed(`answers with status ${answer.status}`, undefined, answer.status);
        waitMs = Math.max(waitMs, retryAfterMs(answer.headers['retry-after']));
      } catch (error) {
        if (error instanceof ThawError) throw error;
        if (request.signal?.aborted === true) throw this.#failed('was not asked to the end', error);
        if (isLast || !mayPass(error)) throw this.#failed('cannot be reached', error);
      }
      await delay(waitMs, request.signal);
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #once({
    url,
    method = 'GET',
    headers,
    body: sent,
    signal,
  }: RegistryRequest): Promise<RegistryAnswer> {
    const {
      statusCode,
      headers: answered,
      body,
    } = await this.#agent.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers: { 'user-agent': 'thaw', ...headers },
      ...(sent === undefined ? {} : { body: sent() }),
      ...(signal === undefined ? {} : { signal }),
    });
    // A body that is let go of must not end the process.
    body.on('error', () => undefined);
    return { status: statusCode, headers: plain(answered), body };
  }

  #failed(what: string, cause: unknown, status?: number): ThawError {
    const why = cause instanceof Error ? `: ${reasonOf(cause)}` : '';
    return new ThawError('REGISTRY_FAILED', `registry ${this.#name} ${what}${why}`, {
      cause,
      ...(status === undefined ? {} : { details: { status } }),
    });
  }
}

/** Node gives one error for several addresses, with the reasons inside. */
function reasonOf(cause: Error): string {
  const inner: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  return inner instanceof Error ? inner.message : cause.message;
}

/** A certificate that is not trusted stays so. */
function mayPass(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return !/CERT|SELF_SIGNED|ERR_TLS|ERR_SSL|EPROTO|ENOTFOUND|HPE_/u.test(code);
}

function plain(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return result;
}

function retryAfterMs(value: string | undefined): number {
  const seconds = Number(value);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(WAIT_MS_MAX, seconds * 1000) : 0;
}

function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end, { once: true });
  });
}
