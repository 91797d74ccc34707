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
  /** Undefined where there is nothing to look at. */
  #sweep: NodeJS.Timeout | undefined;
  readonly #connectionDeps: SmallConnectionDeps;

  constructor(deps: SmallConnectionsDeps) {
    this.#deps = deps;
    this.#connectionDeps = {
      onRequest: deps.onRequest,
      handOver: deps.handOver,
      keepAliveSeconds: Math.floor(deps.keepAliveMs / 1000),
      onClosed: (connection) => this.#connections.delete(connection),
    };
  }

  add(socket: Socket): void {
    this.#connections.add(new SmallConnection(socket, this.#connectionDeps));
    this.#sweep ??= setInterval(() => this.#sweepAll(), SWEEP_MS).unref();
  }

  /** Idle connections end now, the others with the answer that they wait for. */
  close(): void {
    this.#rest();
    for (const connection of this.#connections) connection.close();
  }

  destroyAll(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #rest(): void {
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #sweepAll(): void {
    const { keepAliveMs, quietMsMax } = this.#deps;
    if (this.#connections.size === 0) this.#rest();
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
