import type { ServerAddress } from '../../sandbox/sandbox.ts';
import { ServerConnection } from './server-connection.ts';

/** A server that says for how long it keeps a connection is taken at its word less this: a request takes time to arrive. */
const KEEP_ALIVE_MARGIN_MS = 1000;

export interface HttpClientsOptions {
  readonly address: ServerAddress;
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
  readonly #free: ServerConnection[] = [];
  readonly #all = new Set<ServerConnection>();
  #idleTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: HttpClientsOptions) {
    this.#options = options;
  }

  /** One that is free, else a new one. */
  take(): ServerConnection {
    if (this.#isClosed) throw new Error('the connection to the server is closed');
    for (let free = this.#free.pop(); free !== undefined; free = this.#free.pop()) {
      if (free.isReusable) return free;
    }
    return this.takeNew();
  }

  /** One that has carried nothing: what it is used for cannot cross its end. */
  takeNew(): ServerConnection {
    if (this.#isClosed) throw new Error('the connection to the server is closed');
    const connection = new ServerConnection(this.#options.address, this.#onEnd);
    this.#all.add(connection);
    return connection;
  }

  /** After an answer; one that cannot be used again is closed. */
  giveBack(connection: ServerConnection): void {
    const { keepAliveS } = connection;
    const { idleMsMax } = this.#options;
    const idleMs =
      keepAliveS === undefined ? idleMsMax : Math.min(idleMsMax, keepAliveS * 1000 - KEEP_ALIVE_MARGIN_MS);
    if (this.#isClosed || !connection.isReusable || idleMs <= 0) {
      connection.destroy();
      this.#all.delete(connection);
      return;
    }
    connection.usableUntilMs = performance.now() + idleMs;
    this.#free.push(connection);
    this.#idleTimer ??= setTimeout(this.#closeIdle, idleMs);
  }

  /** Breaks every connection, also those that carry a request. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#idleTimer);
    this.#free.length = 0;
    for (const connection of this.#all) connection.break(new Error('the platform closed the connection'));
    this.#all.clear();
  }

  /** One timer for all: it looks when the first of them may be due, not once for each request. */
  readonly #closeIdle = (): void => {
    this.#idleTimer = undefined;
    const nowMs = performance.now();
    let nextMs = Infinity;
    let kept = 0;
    for (const connection of this.#free) {
      const leftMs = connection.usableUntilMs - nowMs;
      if (leftMs < 1 || !connection.isReusable) {
        connection.destroy();
        this.#all.delete(connection);
      } else {
        this.#free[kept] = connection;
        kept += 1;
        nextMs = Math.min(nextMs, leftMs);
      }
    }
    this.#free.length = kept;
    if (kept > 0) this.#idleTimer = setTimeout(this.#closeIdle, nextMs);
  };

  /** Its end while it was free; `take` passes over it. */
  readonly #onEnd = (connection: ServerConnection): void => {
    this.#all.delete(connection);
  };
}
