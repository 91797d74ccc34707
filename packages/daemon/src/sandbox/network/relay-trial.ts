/**
 * For the relay's test, as the ordinary user who runs it: starts a server in a sandbox whose network has no address on
 * the host, talks to it, and prints what it learned as JSON. Argument: a directory of that user's own.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { systemClock } from '../../base/clock.ts';
import { openSandboxes } from '../sandboxes.ts';
import type { ServerAddress } from '../sandbox.ts';

const WAIT_MS_MAX = 20_000;
const POLL_MS = 5;
/** Says what it heard, and which ways out it has. */
const SERVER = `
const { networkInterfaces } = require('node:os');
require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('data', (bytes) => socket.write('heard ' + bytes));
  socket.on('end', () => socket.end(' on ' + Object.keys(networkInterfaces())));
}).listen(9000);`;

const [directory = ''] = process.argv.slice(2);
const outputs = createServer((socket) => socket.resume());
outputs.listen(join(directory, 'out'));
await once(outputs, 'listening');
const sandboxes = await openSandboxes({
  runDirectory: join(directory, 'run'),
  isolation: 'bubblewrap',
  clock: systemClock,
  log: () => undefined,
});
try {
  const addresses: (ServerAddress | undefined)[] = [];
  const answers: string[] = [];
  for (const id of ['one', 'two']) {
    const sandbox = await sandboxes.driver.start({
      id,
      command: ['/engine', '-e', SERVER],
      environment: {},
      workingDirectory: '/',
      mounts: [{ source: process.execPath, target: '/engine', readOnly: true }],
      memoryBytesMax: 256 * 1024 * 1024,
      cpu: undefined,
      cpuShare: 512,
      processesMax: 64,
      temporaryBytesMax: 1024 * 1024,
      network: 'private',
      server: { port: 9000, relaySocket: join(directory, id) },
      outputSocket: join(directory, 'out'),
    });
    addresses.push(sandbox.serverAddress);
    if (sandbox.serverAddress === undefined) continue;
    const socket = await connected(sandbox.serverAddress);
    socket.end(id);
    answers.push(await text(socket));
  }
  process.stdout.write(JSON.stringify({ addresses, answers }));
} finally {
  await sandboxes.close();
  outputs.close();
}

/** As soon as the server listens. */
async function connected(address: ServerAddress): Promise<Socket> {
  const untilMs = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const socket = connect({ ...address, allowHalfOpen: true });
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (performance.now() > untilMs) throw error;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}
