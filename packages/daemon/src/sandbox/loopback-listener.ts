import type { Server, Socket } from 'node:net';

const CONNECTIONS_MAX = 1024;

/**
 * A socket that listens inside a sandbox. It takes connections from the moment it reaches this process, which is before
 * whoever asked for it can know that the sandbox is up: those that come first wait here.
 */
export class LoopbackListener {
  readonly #server: Server;
  readonly #waiting: Socket[] = [];
  #onConnection: ((socket: Socket) => void) | undefined;

  constructor(server: Server) {
    this.#server = server;
    server.maxConnections = CONNECTIONS_MAX;
    // A connection that cannot be taken (no more descriptors) is lost to whoever asked for it.
    server.on('error', () => undefined);
    server.on('connection', (socket) => {
      if (this.#onConnection !== undefined) {
        this.#onConnection(socket);
        return;
      }
      this.#waiting.push(socket);
      socket.on('error', () => socket.destroy());
    });
  }

  /** Hands over every connection, those that waited first. */
  accept(onConnection: (socket: Socket) => void): void {
    this.#onConnection = onConnection;
    for (const socket of this.#waiting.splice(0)) if (!socket.destroyed) onConnection(socket);
  }

  /** No more connections; those that were handed over go on. */
  close(): void {
    this.#server.close();
    for (const socket of this.#waiting.splice(0)) socket.destroy();
  }
}
