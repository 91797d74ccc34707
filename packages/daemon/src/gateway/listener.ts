import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP, Socket, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import { newRequestId } from '../base/ids.ts';
import { answerBadHttp, refuseSocket } from './bad-http.ts';
import type { Arrival, Door } from './door.ts';
import { endAnswer } from './end-answer.ts';
import type { SmallAnswer } from './small/small-answer.ts';
import { SmallConnections } from './small/small-connections.ts';
import type { SmallRequest } from './small/small-request.ts';
import { asksForUpgrade, responseOn } from './upgrade-response.ts';

/** A caller that does not finish its headers in time is cut off; bodies may take as long as they flow. */
const HEADERS_MS_MAX = 30_000;
/** A connection that sends or takes nothing for so long is closed. */
const CONNECTION_IDLE_MS_MAX = 15 * 60_000;
const KEEP_ALIVE_MS = 72_000;
const CLOSE_SWEEP_MS = 50;

export interface ListenerDeps {
  readonly clock: Clock;
  /** Asked in this order; the first that owns the path gets the request. */
  readonly doors: readonly Door[];
  /** Gets every request whose host is `<name>.localhost`. */
  readonly functionHosts: FunctionHosts;
  /** Answers `/healthz`; true while the platform can serve. */
  readonly isHealthy: () => boolean;
  /** Whether small requests are read without node:http, at a fraction of its cost. */
  readonly readsSmallRequests: boolean;
}

export interface FunctionHosts {
  handleHost(
    label: string,
    request: IncomingMessage,
    response: ServerResponse,
    arrival: Arrival,
    socket?: Socket,
  ): void;
  /** As `Door.handleSmall`. */
  handleSmallHost(label: string, request: SmallRequest, answer: SmallAnswer, arrival: Arrival): boolean;
  /** Whether requests to this path may go on with another protocol; on a function's own host all may. */
  takesUpgrades(path: string): boolean;
}

/** The platform's one HTTP server: finds out whose a request is and hands it on. */
export class Listener {
  readonly #deps: ListenerDeps;
  readonly #server: Server;
  /** The response to the last whole request of each connection. */
  readonly #last = new WeakMap<Duplex, ServerResponse>();
  /** Connections that node:http has let go of. */
  readonly #upgraded = new Set<Duplex>();
  readonly #small: SmallConnections;

  constructor(deps: ListenerDeps) {
    this.#deps = deps;
    this.#server = createServer(
      {
        headersTimeout: HEADERS_MS_MAX,
        requestTimeout: 0,
        keepAliveTimeout: KEEP_ALIVE_MS,
        maxHeaderSize: LIMITS.requestHeaderBytesMax,
        // Refused in our own words.
        requireHostHeader: false,
        noDelay: true,
        // What nobody would switch for is an ordinary request, as HTTP has it.
        shouldUpgradeCallback: (request) => this.#takesUpgrade(request),
      },
      (request, response) => this.#onRequest(request, response),
    );
    this.#server.timeout = CONNECTION_IDLE_MS_MAX;
    // Their size is bounded; by default node:http would drop what is beyond its number without a word.
    this.#server.maxHeadersCount = 0;
    this.#server.on('clientError', (error, socket) => answerBadHttp(error, socket, this.#last.get(socket)));
    this.#server.on('checkExpectation', (request, response) => this.#onExpectation(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket, head));
    this.#server.on('connect', (_request, socket) => {
      refuseSocket(socket, '405 Method Not Allowed', 'PathNotSupported', 'CONNECT is not supported');
    });
    this.#small = new SmallConnections({
      keepAliveMs: KEEP_ALIVE_MS,
      quietMsMax: CONNECTION_IDLE_MS_MAX,
      onRequest: (request, answer) => this.#onSmallRequest(request, answer),
      handOver: this.#takeFirst(),
    });
  }

  /** Puts the reader of small requests before node:http; gives what hands a connection on to node:http. */
  #takeFirst(): (socket: Socket) => void {
    const server = this.#server;
    const listeners = server.listeners('connection');
    if (this.#deps.readsSmallRequests) {
      server.removeAllListeners('connection');
      server.on('connection', (socket: Socket) => this.#small.add(socket));
    }
    return (socket) => {
      for (const listener of listeners) listener.call(server, socket);
    };
  }

  listen(host: string, port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const onError = (cause: Error): void => {
        reject(new ThawError('INVALID_ARGUMENT', `cannot listen on ${host}:${port}`, { cause }));
      };
      this.#server.once('error', onError);
      this.#server.listen(port, host, () => {
        this.#server.off('error', onError);
        // A connection that cannot be accepted (no more descriptors) is its caller's loss, not the platform's end.
        this.#server.on('error', ignore);
        resolve(urlOf(this.#server.address()));
      });
    });
  }

  /** Takes no new connections; open ones get `graceMs` to finish what they are at. */
  async close(graceMs: number): Promise<void> {
    // They would stay for ever: what goes on over them has no end that could be waited for.
    for (const socket of this.#upgraded) socket.destroy();
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#small.close();
    this.#server.closeIdleConnections();
    // A connection that is busy now becomes idle, kept alive by its client, when its answer is out.
    const sweep = setInterval(() => this.#server.closeIdleConnections(), CLOSE_SWEEP_MS);
    const cut = setTimeout(() => {
      this.#small.destroyAll();
      this.#server.closeAllConnections();
    }, graceMs);
    await closed;
    clearInterval(sweep);
    clearTimeout(cut);
  }

  #takesUpgrade(request: IncomingMessage): boolean {
    if (!asksForUpgrade(request)) return false;
    const isFunctionHost = functionLabel(request.headers.host) !== undefined;
    return isFunctionHost || this.#deps.functionHosts.takesUpgrades(request.url ?? '/');
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!(socket instanceof Socket)) throw new Error('a connection of the server is a socket');
    this.#upgraded.add(socket);
    socket.once('close', () => this.#upgraded.delete(socket));
    socket.on('error', ignore);
    socket.setTimeout(0);
    if (head.length > 0) socket.unshift(head);
    this.#onRequest(request, responseOn(request, socket), socket);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse, socket?: Socket): void {
    const url = request.url ?? '/';
    const arrival = this.#arrivalOf(url);
    this.#last.set(request.socket, response);
    request.on('error', ignore);
    response.on('error', ignore);
    if (request.headers.host === undefined && request.httpVersion === '1.1') {
      const message = 'required HTTP header Host was not specified';
      answerPlainly(response, 400, arrival.requestId, 'MissingRequiredHeader', message);
      return;
    }
    if (url.length > LIMITS.urlBytesMax) {
      answerPlainly(
        response,
        414,
        arrival.requestId,
        'UriTooLong',
        `the URL is longer than ${LIMITS.urlBytesMax} bytes`,
      );
      return;
    }
    const label = functionLabel(request.headers.host);
    if (label !== undefined) {
      this.#deps.functionHosts.handleHost(label, request, response, arrival, socket);
      return;
    }
    const method = request.method ?? 'GET';
    for (const door of this.#deps.doors) {
      if (door.owns(method, arrival.path)) {
        door.handle(request, response, arrival, socket);
        return;
      }
    }
    this.#answerOwn(request, response, arrival);
  }

  /** Only what a function answers is worth it; all else, and every refusal of a request, is the other way's. */
  #onSmallRequest(request: SmallRequest, answer: SmallAnswer): boolean {
    const arrival = this.#arrivalOf(request.url);
    const label = functionLabel(request.headers.host);
    if (label !== undefined) {
      return this.#deps.functionHosts.handleSmallHost(label, request, answer, arrival);
    }
    for (const door of this.#deps.doors) {
      if (door.owns(request.method, arrival.path))
        return door.handleSmall?.(request, answer, arrival) ?? false;
    }
    return false;
  }

  #arrivalOf(url: string): Arrival {
    const queryAt = url.indexOf('?');
    return {
      requestId: newRequestId(this.#deps.clock.now()),
      acceptedMs: this.#deps.clock.monotonicMs(),
      path: queryAt === -1 ? url : url.slice(0, queryAt),
      query: queryAt === -1 ? '' : url.slice(queryAt + 1),
    };
  }

  #onExpectation(request: IncomingMessage, response: ServerResponse): void {
    const requestId = newRequestId(this.#deps.clock.now());
    const message = `the expectation '${request.headers.expect ?? ''}' cannot be met`;
    answerPlainly(response, 417, requestId, 'InvalidArgument', message);
  }

  #answerOwn(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    request.resume();
    if (arrival.path === '/healthz') {
      const isHealthy = this.#deps.isHealthy();
      response.writeHead(isHealthy ? 200 : 503, ['Content-Type', 'text/plain', 'Cache-Control', 'no-store']);
      response.end(isHealthy ? 'ok\n' : 'shutting down\n');
      return;
    }
    const message = `'${request.method}' against '${arrival.path}' is not supported`;
    answerPlainly(response, 404, arrival.requestId, 'PathNotSupported', message);
  }
}

function ignore(): void {}

/** The gateway's own refusals, in the JSON form that FC's clients read. */
export function answerPlainly(
  response: ServerResponse,
  status: number,
  requestId: string,
  code: string,
  message: string,
): void {
  const body = Buffer.from(JSON.stringify({ RequestId: requestId, Code: code, Message: message }));
  response.writeHead(status, [
    'Content-Type',
    'application/json',
    'Content-Length',
    String(body.length),
    'x-fc-request-id',
    requestId,
  ]);
  endAnswer(response, body);
}

/** What stands before `.localhost` in a host header, or undefined for the platform's own host. */
function functionLabel(host: string | undefined): string | undefined {
  if (host === undefined) return undefined;
  const portAt = host.lastIndexOf(':');
  const name = portAt === -1 ? host : host.slice(0, portAt);
  if (name.length <= HOST_SUFFIX.length || !name.toLowerCase().endsWith(HOST_SUFFIX)) return undefined;
  return name.slice(0, -HOST_SUFFIX.length);
}

const HOST_SUFFIX = '.localhost';

function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') throw new Error('the listener has no port');
  const host = isIP(address.address) === 6 ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
