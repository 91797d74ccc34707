import { chmod, mkdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { LinkConnection, type LinkEvents } from '../transport/link/link-connection.ts';
import { listenOn } from './listen-on.ts';

/** Waits at an instance's link socket for its runtime. */
export class LinkListener {
  readonly #server: Server;
  #link: LinkConnection | undefined;

  constructor(events: LinkEvents) {
    this.#server = createServer((socket) => {
      // One runtime, one link: whatever else connects is user code, and gets nothing.
      this.#server.close();
      socket.setNoDelay(true);
      this.#link = new LinkConnection(socket, events);
    });
  }

  /** Present once the runtime has connected. */
  get link(): LinkConnection | undefined {
    return this.#link;
  }

  async listen(path: string): Promise<void> {
    // Reached by the sandbox's own user through a mount; nobody else gets into the run directory.
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await listenOn(this.#server, path);
    await chmod(path, 0o666);
  }

  close(): void {
    this.#server.close();
    this.#link?.close();
  }
}
