import { spawn } from 'node:child_process';
import { Server } from 'node:net';

const LISTEN_TIMEOUT_MS = 10_000;

/**
 * Run with `node -e` in the sandbox's network: listens and sends the socket to its parent. Plain JavaScript in a text,
 * because it stands in the way of a cold start and a file with types takes twice as long to load. The loopback may
 * still be coming up: until then its address cannot be used.
 */
const PROGRAM = `
const server = require('node:net').createServer();
const listen = () => server.listen(Number(process.argv[1]), '127.0.0.1', 4096);
server.on('error', (error) => {
  if (error.code === 'EADDRNOTAVAIL') setTimeout(listen, 1);
  else throw error;
});
server.on('listening', () => process.send('listening', server, {}, () => process.exit()));
listen();`;

/**
 * Listens at a port of another network's loopback. A socket belongs to the network it was made in for good, so a process
 * makes it there and hands it over; nothing of that process stays. `enter` runs a program in that network.
 */
export function listenInside(enter: readonly [string, ...string[]], port: number): Promise<Server> {
  const [program, ...args] = enter;
  const child = spawn(program, [...args, process.execPath, '-e', PROGRAM, String(port)], {
    env: {},
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    timeout: LISTEN_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  return new Promise((resolve, reject) => {
    child.once('message', (_, handle) => {
      if (handle instanceof Server) resolve(handle);
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const how = complaint.trim() || `the process that listens ended with ${signal ?? code}`;
      reject(new Error(`listening inside the sandbox's network: ${how}`));
    });
  });
}
