/**
 * For the test of the ordinary user's network, as that user, on a host of the test's own: starts a sandbox that tries
 * to call the world and the host, kills the launcher of another one, and prints what it learned as JSON. Argument: a
 * directory of that user's own.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../base/clock.ts';
import { openSandboxes } from '../sandboxes.ts';
import type { Sandbox } from '../sandbox.ts';

const WAIT_MS_MAX = 20_000;
const POLL_MS = 5;
const SERVER_PORT = 9000;
/** Where the test's world listens, and addresses of the test's host. */
const WORLD = ['203.0.113.2', 4000] as const;
const HOST = [
  '127.0.0.1',
  '127.0.0.2',
  '203.0.113.1',
  '198.51.100.7',
  '203.0.113.2',
  '::1',
  '::ffff:127.0.0.1',
];
/** Calls every address that it is given, also with sockets bound to the interface, which no route holds back. */
const CALLER = `
import json, socket, threading
server = socket.create_server(('127.0.0.1', ${SERVER_PORT}))
request = ''
while not request:  # the relay first looks whether anybody listens
    peer = server.accept()[0]
    request = peer.makefile().readline()
answers = {}
def call(address, port, device):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as caller:
            caller.settimeout(2)
            try:
                if device: caller.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
                caller.connect((address, port))
                caller.send(b'hello')
                if kind == socket.SOCK_STREAM: answers[f'{address} {device.decode()}'] = caller.recv(16).decode()
            except OSError: pass
interface = next(name for _, name in socket.if_nameindex() if name != 'lo').encode()
calls = [threading.Thread(target=call, args=(address, port, device))
    for address, port in json.loads(request) for device in (b'', interface, b'lo')]
for thread in calls: thread.start()
for thread in calls: thread.join()
peer.sendall(json.dumps(answers).encode())
peer.close()
threading.Event().wait()`;

const [directory = ''] = process.argv.slice(2);
const outputs = createServer((socket) => socket.resume());
outputs.listen(join(directory, 'out'));
let callsToHost = 0;
const listener = createServer((socket) => {
  callsToHost += 1;
  // Half a connection, of which the sandbox's kernel knows nothing, is reset.
  socket.on('error', () => undefined).end('host');
});
listener.listen(0, '::');
await Promise.all([once(outputs, 'listening'), once(listener, 'listening')]);
const listening = listener.address();
const port = listening !== null && typeof listening === 'object' ? listening.port : 0;
const datagrams = createSocket('udp6', () => {
  callsToHost += 1;
});
datagrams.bind(port, '::');
await once(datagrams, 'listening');
const setting = {
  runDirectory: join(directory, 'run'),
  isolation: 'bubblewrap',
  clock: systemClock,
  log: () => undefined,
} as const;
const sandboxes = await openSandboxes(setting);
const { shortcomings } = sandboxes.driver;
const first = await start('first');
const answers = await ask(first, [WORLD, ...HOST.map((address) => [address, port] as const)]);
const whileRunning = uplinks();
first.kill();
await first.exited;
const afterEnd = uplinks();
await start('second');
const beforeCrash = uplinks();
for (const pid of children()) process.kill(pid, 'SIGKILL');
await sandboxes.close();
const afterCrash = uplinks();
await (await openSandboxes(setting)).close();
const afterAll = uplinks();
outputs.close();
listener.close();
datagrams.close();
const counts = { whileRunning, afterEnd, beforeCrash, afterCrash, afterAll };
process.stdout.write(JSON.stringify({ shortcomings, answers, callsToHost, ...counts }));

async function start(id: string): Promise<Sandbox> {
  return await sandboxes.driver.start({
    id,
    command: ['python3', '-c', CALLER],
    environment: { PATH: '/usr/local/bin:/usr/bin:/bin' },
    workingDirectory: '/',
    mounts: [],
    memoryBytesMax: 256 * 1024 * 1024,
    cpu: undefined,
    cpuShare: 512,
    processesMax: 64,
    temporaryBytesMax: 1024 * 1024,
    network: 'private',
    server: { port: SERVER_PORT, relaySocket: join(directory, id) },
    outputSocket: join(directory, 'out'),
  });
}

/** As soon as the caller listens. */
async function ask(sandbox: Sandbox, targets: readonly (readonly [string, number])[]): Promise<unknown> {
  const untilMs = performance.now() + WAIT_MS_MAX;
  if (sandbox.serverAddress === undefined) throw new Error('the sandbox cannot be reached');
  for (;;) {
    const socket = connect({ ...sandbox.serverAddress, allowHalfOpen: true });
    try {
      await once(socket, 'connect');
      socket.end(`${JSON.stringify(targets)}\n`);
      return JSON.parse(await text(socket));
    } catch (error) {
      if (performance.now() > untilMs) throw error;
    }
    await pause(POLL_MS);
  }
}

/** How many processes of pasta there are; the test runs this among processes of its own only. */
function uplinks(): number {
  return readdirSync('/proc').filter((name) => /^\d+$/u.test(name) && commandOf(name).includes('pasta'))
    .length;
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '';
  } catch {
    return '';
  }
}

function children(): number[] {
  const list = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
  return list
    .split(' ')
    .filter((pid) => pid !== '')
    .map(Number);
}
