import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { systemClock } from '../../base/clock.ts';
import { platformHash } from '../launcher/launcher.ts';
import { openSandboxes } from '../sandboxes.ts';

/**
 * The network of sandboxes in a world of its own: a namespace plays the host and another the internet, so that no
 * packet and no rule touches the machine that runs the test.
 */
const run = promisify(execFile);
const HOST = '192.168.77.1';
const OUTSIDE = '192.168.77.2';
const PORT = 8123;

const skip = await whyNot();

for (const [makers, kernelThread] of [
  ['a thread', true],
  ['programs', false],
] as const) {
  test(`a private network made by ${makers} leads out, and nowhere else`, { skip }, (context) =>
    leadsOut(context, kernelThread),
  );
}

async function leadsOut(context: TestContext, kernelThread: boolean): Promise<void> {
  const { directory, host, outside } = await makeWorld(context);
  await listenIn(context, outside, OUTSIDE);
  await listenIn(context, host, '0.0.0.0');
  const received: string[] = [];
  const server = createServer((socket) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.on('end', () => received.push(text));
  });
  const outputSocket = join(directory, 'out.sock');
  await new Promise<void>((resolve) => {
    server.listen(outputSocket, resolve);
  });
  context.after(() => server.close());
  const runDirectory = join(directory, 'run');
  const notes: string[] = [];
  const sandboxes = await openSandboxes({
    runDirectory,
    isolation: 'bubblewrap',
    clock: systemClock,
    log: (text) => notes.push(text),
    hostNetwork: `/run/netns/${host}`,
    kernelThread,
    idleNetworks: IDLE_NETWORKS,
  });
  context.after(() => sandboxes.close());
  assert.deepEqual(
    sandboxes.driver.shortcomings.filter((text) => text.includes('network')),
    [],
  );
  assert.equal(notes.length, 1, 'forwarding was off, and the operator is told that it now is on');

  const program = async (id: string, script: string): Promise<number | null> => {
    const sandbox = await sandboxes.driver.start({
      id,
      command: ['python3', '-c', PRELUDE + script],
      environment: { PATH: '/usr/bin:/bin' },
      workingDirectory: '/',
      mounts: [],
      memoryBytesMax: 128 * 1024 * 1024,
      cpu: 1,
      cpuShare: 512,
      processesMax: 32,
      temporaryBytesMax: 1024 * 1024,
      network: 'private',
      outputSocket,
    });
    context.after(() => {
      sandbox.kill();
    });
    return id.startsWith('serve') ? null : (await sandbox.exited).code;
  };

  // Two sandboxes hold the same port at once, and each is out of the other's reach.
  const serve = 's = listen(9000); print("address", address(), flush=True); s.accept()';
  await program('serve-1', serve);
  await program('serve-2', serve);
  const { stdout: routes } = await run('ip', ['-n', host, '-4', 'route']);
  const served = [...routes.matchAll(/^(\d+\.\d+\.\d+\.)(\d+)\/31 dev thaw/gmu)].map(
    ([, prefix, last]) => `${prefix}${Number(last) + 1}`,
  );
  assert.ok(served.length >= 2);

  assert.equal(await program('out', `sys.exit(0 if reach("${OUTSIDE}", ${PORT}) else 1)`), 0, 'the way out');
  const gateway = '".".join(address().split(".")[:3] + [str(int(address().split(".")[3]) - 1)])';
  for (const [name, target] of [
    ['loopback', '"127.0.0.1"'],
    ['gateway', gateway],
    ['host', `"${HOST}"`],
    ['metadata', '"169.254.169.254"'],
  ]) {
    assert.equal(
      await program(`to-${name}`, `sys.exit(1 if reach(${target}, ${PORT}) else 0)`),
      0,
      `no way to ${name}`,
    );
  }
  const others = JSON.stringify(served);
  const toOthers = `sys.exit(1 if any(reach(a, 9000) for a in ${others} if a != address()) else 0)`;
  assert.equal(await program('to-others', toOthers), 0, 'no way to other sandboxes');
  assert.equal(await program('low-port', 'listen(80)'), 0, 'every port is free');
  assert.equal(await program('no-ipv6', 'sys.exit(len(open("/proc/net/if_inet6").read()))'), 0);

  await run('ip', ['-n', host, 'route', 'add', 'default', 'via', OUTSIDE]);
  const gone = served[0]?.replace(/\d+$/u, '251');
  const ask = `import errno, socket; print(errno.errorcode[socket.socket().connect_ex(("${gone}", 9000))])`;
  const { stdout: answer } = await run('nsenter', [`--net=/run/netns/${host}`, 'python3', '-c', ask]);
  assert.equal(answer, 'ECONNREFUSED\n', 'nobody answers for a sandbox that is not there');

  const hash = platformHash(runDirectory);
  if (kernelThread) {
    await waitFor('more networks while nothing is started', async () => {
      const { stdout } = await run('ip', ['-n', host, '-o', 'link']);
      return stdout.split(`thaw${hash.slice(0, 6)}`).length > IDLE_NETWORKS;
    });
  }
  await sandboxes.close();
  const { stdout: namespaces } = await run('ip', ['netns']);
  assert.ok(!namespaces.includes(hash), namespaces);
  const { stdout: links } = await run('ip', ['-n', host, '-o', 'link']);
  assert.ok(!links.includes(`thaw${hash.slice(0, 6)}`), links);
  const { stdout: rules } = await run('nsenter', [`--net=/run/netns/${host}`, 'nft', 'list', 'ruleset']);
  assert.equal(rules, '');
}

/** More than are ready otherwise, and than run here. */
const IDLE_NETWORKS = 40;

const PRELUDE = `
import socket, sys
def reach(host, port):
    try:
        socket.create_connection((host, port), timeout=0.3).close()
        return True
    except OSError:
        return False
def listen(port):
    s = socket.socket(); s.bind(("0.0.0.0", port)); s.listen(); return s
def address():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("${OUTSIDE}", 9)); return s.getsockname()[0]
`;

async function makeWorld(
  context: TestContext,
): Promise<{ directory: string; host: string; outside: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-network-'));
  const [host, outside] = [`tt-host-${process.pid}`, `tt-out-${process.pid}`];
  context.after(async () => {
    for (const name of [host, outside]) await run('ip', ['netns', 'del', name]);
    rmSync(directory, { recursive: true, force: true });
  });
  for (const name of [host, outside]) await run('ip', ['netns', 'add', name]);
  await run('ip', [
    '-n',
    host,
    'link',
    'add',
    'wan',
    'type',
    'veth',
    'peer',
    'name',
    'wan',
    'netns',
    outside,
  ]);
  for (const [name, address] of [
    [host, HOST],
    [outside, OUTSIDE],
  ] as const) {
    await run('ip', ['-n', name, 'addr', 'add', `${address}/24`, 'dev', 'wan']);
    for (const device of ['lo', 'wan']) await run('ip', ['-n', name, 'link', 'set', device, 'up']);
  }
  // A new namespace starts with the machine's own setting.
  const forwarding = 'echo 0 > /proc/sys/net/ipv4/ip_forward';
  await run('nsenter', [`--net=/run/netns/${host}`, 'sh', '-c', forwarding]);
  // The metadata address is routed, so that only the rule can stop a packet to it.
  await run('ip', ['-n', host, 'route', 'add', '169.254.169.254/32', 'via', OUTSIDE]);
  await run('ip', ['-n', outside, 'addr', 'add', '169.254.169.254/32', 'dev', 'lo']);
  return { directory, host, outside };
}

/** A listener in a namespace, which proves by a line that it listens. */
async function listenIn(context: TestContext, namespace: string, address: string): Promise<void> {
  const code = `const s = require('node:net').createServer((c) => c.on('error', () => {}).end('hi'));
s.listen(${PORT}, ${JSON.stringify(address === OUTSIDE ? '0.0.0.0' : address)}, () => console.log('up'));`;
  const args = [`--net=/run/netns/${namespace}`, process.execPath, '-e', code];
  const child = spawn('nsenter', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  context.after(() => child.kill('SIGKILL'));
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => {
      reject(new Error('the listener ended'));
    });
    child.stdout.once('data', () => {
      resolve();
    });
  });
}

async function whyNot(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'only root can make networks';
  for (const [program, option] of [
    ['bwrap', '--version'],
    ['ip', '-V'],
    ['nft', '--version'],
    ['nsenter', '--version'],
    ['python3', '--version'],
  ] as const) {
    try {
      await run(program, [option]);
    } catch {
      return `${program} is not installed`;
    }
  }
  return false;
}
