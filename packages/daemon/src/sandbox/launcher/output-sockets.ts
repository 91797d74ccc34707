import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * Connects to the daemon for one stream of one sandbox and says which: a line `stdout <id>` or `stderr <id>`. What
 * follows on the connection comes from the sandbox itself, which gets the socket as its stdout or stderr; no byte of
 * it passes through the launcher.
 */
export async function connectOutput(path: string, stream: 'stdout' | 'stderr', id: string): Promise<Socket> {
  const socket = await connectStdio(path);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.write(`${stream} ${id}\n`, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Connects to the daemon for a sandbox that gets the socket as it is. */
export async function connectStdio(path: string): Promise<Socket> {
  const socket = connect(path);
  // A connection that is not paused is read from as soon as it is there: this process would take the sandbox's input.
  socket.pause();
  try {
    await once(socket, 'connect');
    // A broken connection is the sandbox's to notice, as a broken pipe.
    socket.on('error', () => undefined);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
