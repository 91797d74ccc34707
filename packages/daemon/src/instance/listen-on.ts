import type { Server } from 'node:net';

/**
 * Listens on a unix socket; rejects when the path cannot be used. A connection that cannot be accepted later (no more
 * descriptors) is lost to whoever made it, which the deadlines of a start and a call tell; it must not end the daemon.
 */
export function listenOn(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
  });
}
