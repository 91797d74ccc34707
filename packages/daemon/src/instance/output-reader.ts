import type { Server, Socket } from 'node:net';
import type { LogSource } from '../transport/transport.ts';

/** A line that never ends is cut here, so that a program without newlines cannot fill the memory. */
const LINE_BYTES_MAX = 64 * 1024;
/** The name of the stream, a blank, a sandbox's id of at most 64 characters and the end of the line. */
const HEADER_BYTES_MAX = 80;
const HEADER = /^(stdout|stderr) \S+\n/u;

/**
 * Reads what a sandbox writes to its file descriptors 1 and 2. The launcher connects once for each and says which in a
 * first line (`stdout <sandbox id>` or `stderr <sandbox id>`); all that follows is the user's.
 */
export function readOutput(server: Server, onText: (source: LogSource, text: string) => void): void {
  server.on('connection', (socket) => {
    let source: LogSource | undefined;
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      rest += chunk;
      if (source === undefined) {
        source = takeHeader(rest, socket);
        if (source === undefined) return;
        rest = rest.slice(rest.indexOf('\n') + 1);
      }
      const end = rest.length > LINE_BYTES_MAX ? rest.length : rest.lastIndexOf('\n') + 1;
      if (end === 0) return;
      onText(source, rest.slice(0, end));
      rest = rest.slice(end);
    });
    socket.on('close', () => {
      if (source !== undefined && rest !== '') onText(source, rest);
    });
    // The other end dies with the sandbox; what it wrote has been read by then.
    socket.on('error', () => socket.destroy());
  });
}

function takeHeader(text: string, socket: Socket): LogSource | undefined {
  const source = HEADER.exec(text)?.[1];
  if (source === 'stdout' || source === 'stderr') return source;
  if (text.length > HEADER_BYTES_MAX) socket.destroy();
  return undefined;
}
