import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as SecureAgent, request as httpsRequest } from 'node:https';
import { buffer, text } from 'node:stream/consumers';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { percentEncode } from '@thaw/protocol/acs3.ts';
import { apiError } from './api-error.ts';
import type { Platform } from './platform.ts';
import { acs3Headers, API_VERSION } from './signature.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Percent-encoded; build it with `apiPath` or `nativePath`. */
  readonly path: string;
  readonly query?: Query;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: Buffer;
  readonly signal?: AbortSignal;
  /** Another way of signing than ACS3; gives the headers to send beside `headers`. */
  readonly sign?: (method: string, path: string, platform: Platform, now: Date) => Record<string, string>;
}

/** `apiPath('functions', name)` is `/2023-03-30/functions/<name>`. */
export function apiPath(...segments: readonly (string | number)[]): string {
  return `/${API_VERSION}/${segments.map((segment) => percentEncode(String(segment))).join('/')}`;
}

/** Thaw's own API, beside FC's. */
export function nativePath(...segments: readonly string[]): string {
  return `/thaw/v1/${segments.map((segment) => percentEncode(segment)).join('/')}`;
}

/** Speaks to one platform over kept-alive connections; signs every request. Close it when the command ends. */
export class Client {
  readonly platform: Platform;
  readonly #url: URL;
  readonly #agent: Agent;
  readonly #signal: AbortSignal;

  constructor(platform: Platform, signal: AbortSignal) {
    this.platform = platform;
    this.#url = new URL(platform.url);
    this.#agent =
      this.#url.protocol === 'https:' ? new SecureAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
    this.#signal = signal;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** The JSON of a success. Types are the platform's promise and are not checked again here. */
  async json<T>(call: Call): Promise<T> {
    const response = await this.open(call);
    const body = await text(response).catch((error: unknown) => {
      throw this.#connectionError(error);
    });
    try {
      const value: T = JSON.parse(body === '' ? '{}' : body);
      return value;
    } catch (error) {
      throw new ThawError('INTERNAL', `reading the answer to ${call.method} ${call.path}`, { cause: error });
    }
  }

  /** As `json`, but undefined when the thing is not there. */
  async find<T>(call: Call): Promise<T | undefined> {
    try {
      return await this.json<T>(call);
    } catch (error) {
      if (error instanceof ThawError && error.details['httpStatus'] === 404) {
        if (error.code !== 'PATH_NOT_SUPPORTED') return undefined;
      }
      throw error;
    }
  }

  /** Does the call for its effect. */
  async send(call: Call): Promise<void> {
    const response = await this.open(call);
    await buffer(response);
  }

  /** The answer's head; its body streams. Anything but a 2xx is thrown. */
  async open(call: Call): Promise<IncomingMessage> {
    const body = call.json === undefined ? call.body : Buffer.from(JSON.stringify(call.json));
    const headers: Record<string, string> = { ...call.headers };
    if (call.json !== undefined) headers['content-type'] = 'application/json; charset=utf-8';
    if (body !== undefined) headers['content-length'] = String(body.length);
    const request = this.#request({ ...call, headers }, body);
    request.end(body);
    return this.response(request);
  }

  /** Starts a request whose body the caller streams: the signature covers its head, with the hash of no body. */
  start(call: Call): ClientRequest {
    return this.#request(call, undefined);
  }

  /** Waits for the head of the answer to `request`. */
  async response(request: ClientRequest): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      // Stays on: an error that comes after the answer is the reader's of that answer to notice.
      request.on('error', (error) => reject(this.#connectionError(error)));
    });
    const status = response.statusCode ?? 0;
    // An HTTP handler behind the invoke API answers with a status of its own.
    const isFunctions = response.headers['x-fc-http-status'] !== undefined;
    if ((status >= 200 && status < 300) || isFunctions) return response;
    const body = await text(response);
    const requestId = response.headers['x-fc-request-id'];
    throw apiError(status, body, typeof requestId === 'string' ? requestId : undefined);
  }

  #request(call: Call, body: Buffer | undefined): ClientRequest {
    const query = queryText(call.query ?? {});
    const path = `${this.#url.pathname === '/' ? '' : this.#url.pathname}${call.path}`;
    const host = this.#url.host;
    const own = call.headers ?? {};
    const headers =
      call.sign === undefined
        ? acs3Headers(
            { method: call.method, path, query, host, headers: own, body },
            this.platform,
            new Date(),
          )
        : { ...own, host, ...call.sign(call.method, path, this.platform, new Date()) };
    const send = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
    return send({
      agent: this.#agent,
      hostname: this.#url.hostname.replaceAll(/^\[|\]$/g, ''),
      port: this.#url.port,
      method: call.method,
      path: query === '' ? path : `${path}?${query}`,
      headers,
      signal: call.signal ?? this.#signal,
    });
  }

  #connectionError(error: unknown): ThawError {
    const refused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
    return new ThawError(
      'PLATFORM_UNREACHABLE',
      refused ? `nothing answers at ${this.platform.url}` : `talking to the platform at ${this.platform.url}`,
      {
        cause: error,
        details: {
          advice: refused
            ? 'Start the platform with `thaw serve`, or check THAW_ENDPOINT and --data-dir.'
            : 'Look at the output of `thaw serve`, then try again.',
        },
      },
    );
  }
}

function queryText(query: Query): string {
  return Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${percentEncode(name)}=${percentEncode(String(value))}`)
    .join('&');
}
