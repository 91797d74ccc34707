import { connect } from 'node:net';
import { Client } from 'undici';
import type { ServerAddress } from '../../sandbox/sandbox.ts';

const CONNECT_MS_MAX = 10_000;
const RESPONSE_HEADER_BYTES_MAX = 64 * 1024;

/** One connection to a server at a time, made anew when it is gone. */
export interface HttpClient {
  readonly client: Client;
  /** Requests that the present connection has carried; 0 on a fresh one. */
  carried: number;
}

export interface HttpClientsOptions {
  readonly address: ServerAddress;
  readonly port: number;
  /** A connection that is idle for so long is closed. */
  readonly idleMsMax: number;
}

/**
 * Keep-alive connections to one server, one request on each at a time, as many as there are requests: who calls bounds
 * them by the instance's slots. The one that was used last is taken first, so that the others can grow idle and close.
 *
 * A connection closes before its server may close it: servers drop idle ones after two seconds and more, and a request
 * that crosses the drop is lost. It also closes before its instance is frozen, in whose sleep every time-out is passed.
 */
export class HttpClients {
  readonly #options: HttpClientsOptions;
  readonly #free: HttpClient[] = [];
  readonly #all = new Set<HttpClient>();
  #isClosed = false;

  constructor(options: HttpClientsOptions) {
    this.#options = options;
  }

  take(): HttpClient {
    if (this.#isClosed) throw new Error('the connection to the server is closed');
    return this.#free.pop() ?? this.#make();
  }

  giveBack(client: HttpClient): void {
    if (!this.#isClosed) this.#free.push(client);
  }

  /** Breaks every connection, also those that carry a request. */
  close(): void {
    this.#isClosed = true;
    this.#free.length = 0;
    for (const { client } of this.#all) void client.destroy().catch(() => undefined);
    this.#all.clear();
  }

  #make(): HttpClient {
    const { address, port, idleMsMax } = this.#options;
    const client = new Client(`http://127.0.0.1:${port}`, {
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: idleMsMax,
      keepAliveMaxTimeout: idleMsMax,
      // The time of an invocation is the instance's to keep.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
      connect: (_options, done) => {
        const socket = connect({ ...address, noDelay: true });
        socket.setTimeout(CONNECT_MS_MAX, () =>
          socket.destroy(new Error('the server did not accept in time')),
        );
        const onError = (error: Error): void => done(error, null);
        socket.once('error', onError);
        socket.once('connect', () => {
          socket.setTimeout(0);
          socket.off('error', onError);
          made.carried = 0;
          done(null, socket);
        });
      },
    });
    const made: HttpClient = { client, carried: 0 };
    this.#all.add(made);
    return made;
  }
}
