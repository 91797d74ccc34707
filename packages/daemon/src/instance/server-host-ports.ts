import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isListening } from './server-port.ts';

const FREE_MS_MAX = 10_000;
const POLL_MS = 20;

/**
 * Ports of the host that servers of functions hold where sandboxes have no network of their own. The host's ports belong
 * to the whole process, and so does this table.
 */
const held = new Set<number>();

/**
 * Waits until nothing else has the port, so that a request never reaches somebody else's server, and holds it until the
 * function that it gives is called. Rejects with RUNTIME_UNAVAILABLE when the port does not come free in time.
 */
export async function holdHostPort(port: number): Promise<() => void> {
  const untilMs = performance.now() + FREE_MS_MAX;
  while (held.has(port) || (await isListening({ host: '127.0.0.1', port }))) {
    if (performance.now() > untilMs) {
      throw new ThawError(
        'RUNTIME_UNAVAILABLE',
        `port ${port} of this machine is in use: without isolation every server needs a port of its own`,
        { details: { port } },
      );
    }
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
  held.add(port);
  return () => held.delete(port);
}
