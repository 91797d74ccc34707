import type { Socket } from 'node:net';
import { SmallConnection, type SmallConnectionDeps } from './small-connection.ts';

const SWEEP_MS = 5_000;

export interface SmallConnectionsDeps extends Pick<SmallConnectionDeps, 'onRequest' | 'handOver'> {
  /** Milliseconds that an idle connection is kept. */
  readonly keepAliveMs: number;
  /** Milliseconds without a byte in either direction after which a connection that is not idle is closed. */
  readonly quietMsMax: number;
}

/** The connections of callers that have sent only small requests so far, and the one clock for all of them. */
export class SmallConnections {
  readonly #deps: SmallConnectionsDeps;
  readonly #connections = new Set<SmallConnection>();
  readonly #sweep: NodeJS.Timeout;
  readonly #connectionDeps: SmallConnectionDeps;

  constructor(deps: SmallConnectionsDeps) {
    this.#deps = deps;
    this.#sweep = setInterval(() => this.#sweepAll(), SWEEP_MS);
    this.#sweep.unref();
    this.#connectionDeps = {
      onRequest: deps.onRequest,
      handOver: deps.handOver,
      keepAliveSeconds: Math.floor(deps.keepAliveMs / 1000),
      onClosed: (connection) => this.#connections.delete(connection),
    };
  }

  add(socket: Socket): void {
    this.#connections.add(new SmallConnection(socket, this.#connectionDeps));
  }

  /** Idle connections end now, the others with the answer that they wait for. */
  close(): void {
    clearInterval(this.#sweep);
    for (const connection of this.#connections) connection.close();
  }

  destroyAll(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #sweepAll(): void {
    const { keepAliveMs, quietMsMax } = this.#deps;
    for (const connection of this.#connections) {
      const quietMs = (connection.sweep() - 1) * SWEEP_MS;
      if (connection.isFresh) {
        // Who says nothing at all may be about to say it slowly: node:http has the times for that.
        if (quietMs > 0) connection.giveUp();
      } else if (quietMs > (connection.isIdle ? keepAliveMs : quietMsMax)) {
        connection.destroy();
      }
    }
  }
}
