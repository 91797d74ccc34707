import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { Clock } from '../base/clock.ts';
import { newRequestId } from '../base/ids.ts';
import { answerBadHttp } from './bad-http.ts';
import type { CallingInstance, Door } from './door.ts';
import { answerPlainly } from './listener.ts';

const HEADERS_MS_MAX = 30_000;
const CONNECTION_IDLE_MS_MAX = 15 * 60_000;

export interface FunctionEndpointDeps {
  readonly clock: Clock;
  /**
   * The doors that functions may use, at the same paths as outside. Each authenticates every request, and gives a
   * function no more than its own credentials do: `Arrival.from` says whose they have to be.
   */
  readonly doors: readonly Door[];
}

/**
 * What a sandbox reaches of the platform: these doors, and nothing else that the listener serves. It listens nowhere;
 * connections are handed to it together with the instance from whose own loopback they come.
 */
export class FunctionEndpoint {
  readonly #deps: FunctionEndpointDeps;
  readonly #server: Server;
  readonly #callers = new WeakMap<Socket, CallingInstance>();
  readonly #last = new WeakMap<object, ServerResponse>();

  constructor(deps: FunctionEndpointDeps) {
    this.#deps = deps;
    this.#server = createServer(
      {
        headersTimeout: HEADERS_MS_MAX,
        requestTimeout: 0,
        maxHeaderSize: LIMITS.requestHeaderBytesMax,
        noDelay: true,
      },
      (request, response) => {
        const from = this.#callers.get(request.socket);
        if (from === undefined) throw new Error('a connection of the endpoint has a caller');
        this.handle(request, response, from);
      },
    );
    this.#server.timeout = CONNECTION_IDLE_MS_MAX;
    this.#server.maxHeadersCount = 0;
    this.#server.on('clientError', (error, socket) => answerBadHttp(error, socket, this.#last.get(socket)));
  }

  owns(method: string, path: string): boolean {
    return this.#deps.doors.some((door) => door.owns(method, path));
  }

  /** The socket is its giver's to close when the instance ends. */
  accept(socket: Socket, from: CallingInstance): void {
    this.#callers.set(socket, from);
    this.#server.emit('connection', socket);
  }

  handle(request: IncomingMessage, response: ServerResponse, from: CallingInstance): void {
    const { clock, doors } = this.#deps;
    const url = request.url ?? '/';
    const queryAt = url.indexOf('?');
    const path = queryAt === -1 ? url : url.slice(0, queryAt);
    const query = queryAt === -1 ? '' : url.slice(queryAt + 1);
    const requestId = newRequestId(clock.now());
    this.#last.set(request.socket, response);
    request.on('error', ignore);
    response.on('error', ignore);
    if (url.length > LIMITS.urlBytesMax) {
      const message = `the URL is longer than ${LIMITS.urlBytesMax} bytes`;
      answerPlainly(response, 414, requestId, 'UriTooLong', message);
      return;
    }
    const method = request.method ?? 'GET';
    for (const door of doors) {
      if (!door.owns(method, path)) continue;
      door.handle(request, response, { requestId, acceptedMs: clock.monotonicMs(), path, query, from });
      return;
    }
    request.resume();
    const message = `'${method}' against '${path}' is not supported here`;
    answerPlainly(response, 404, requestId, 'PathNotSupported', message);
  }
}

function ignore(): void {}
