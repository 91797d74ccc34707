import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, readFile, readdir, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ROOT, THAW, runThaw, startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { instanceProcesses } from './outside/instance-processes.ts';
import { createProbe, type Outcome, type Probe, type Target } from './fixtures/probe-functions.ts';
import { missingLimit, missingProgram, missingSandbox } from './fixtures/requirements.ts';
import { createFunction, functionErrorOf, invoke, type Language } from './support/functions.ts';

const LANGUAGES: readonly Language[] = ['nodejs', 'python'];
/** What a file that is not there, or not to be touched, answers. */
const HIDDEN = ['ENOENT', 'EACCES', 'ENOTDIR'];
const UNWRITABLE = ['EROFS', 'EACCES', 'ENOENT', 'EPERM', 'EISDIR'];
const UNREACHABLE = ['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EACCES', 'EADDRNOTAVAIL'];
const DISK_MB = 512;
/** Temporary files count as memory, so that a full disk must fit beside the runtime. */
const MEMORY_MB_WITH_FULL_DISK = 1024;
/** Node, Python, bwrap's first process and what they start; the host has hundreds. */
const VISIBLE_PROCESSES_MAX = 6;
/** Threads count as processes do. */
const PROCESSES_MAX = 1024;
const NOBODY = 65_534;

test('a function reaches nothing that is not its own', async (all) => {
  const platform = await startPlatform(all);
  const skip = await missingSandbox(platform);
  if (skip !== undefined) {
    all.skip(skip);
    return;
  }
  const listener = await listenEverywhere(all);
  for (const language of LANGUAGES) {
    await all.test(`in ${language}`, async (t) => {
      const probe = await createProbe(platform, `probe-${language}`, language, {
        memorySize: MEMORY_MB_WITH_FULL_DISK,
        diskSize: DISK_MB,
      });

      await t.test('it sees no file of the host, of the platform or of another function', async () => {
        const other = await createFunction(platform, `other-${language}`, {
          code: 'exports.handler = () => 1',
        });
        const stored = await readdir(join(platform.dataDir, 'code'));
        assert.ok(stored.length > 0, other);
        const hidden = [
          '/root',
          '/home',
          '/etc/shadow',
          '/boot',
          '/sys/kernel',
          '/var/log',
          '/run/netns',
          homedir(),
          ROOT,
          platform.dataDir,
          process.cwd(),
          join(platform.dataDir, 'credentials.json'),
          join(platform.dataDir, 'daemon.json'),
          ...stored.map((name) => join(platform.dataDir, 'code', name)),
        ];
        for (const path of hidden) {
          assertOneOf(await probe.try({ do: 'list', path }), HIDDEN, `list ${path}`);
          assertOneOf(await probe.try({ do: 'read', path }), HIDDEN, `read ${path}`);
        }
        const code = await probe.try({ do: 'list', path: '/code' });
        assert.deepEqual(code.value, [language === 'nodejs' ? 'index.js' : 'index.py']);
      });

      await t.test('it writes to /tmp and nowhere else', async () => {
        for (const directory of [
          '/',
          '/code',
          '/usr',
          '/usr/bin',
          '/opt',
          '/etc',
          '/run',
          '/run/thaw',
          '/run/thaw/link',
          '/run/thaw/runtime',
          '/var',
          '/dev',
        ]) {
          assertOneOf(await probe.try({ do: 'write', path: join(directory, 'x') }), UNWRITABLE, directory);
        }
        assertOneOf(await probe.try({ do: 'write', path: '/code/index.js' }), UNWRITABLE, '/code/index.js');
        assertOneOf(
          await probe.try({ do: 'write', path: '/proc/sys/kernel/core_pattern' }),
          UNWRITABLE,
          '/proc/sys',
        );
        const find = [
          'find',
          '/',
          '-xdev',
          '-writable',
          '-not',
          '-type',
          'l',
          '-not',
          '-path',
          '/proc/*',
          '-not',
          '-path',
          '/tmp*',
        ];
        assert.deepEqual(writablesOf(await probe.try({ do: 'run', command: find })), []);
      });

      await t.test('its /tmp is private and bounded', async () => {
        const mine = `/tmp/of-${probe.functionName}`;
        assert.deepEqual(await probe.try({ do: 'write', path: mine }), { value: 'written' });
        await assert.rejects(stat(mine), { code: 'ENOENT' });
        const neighbour = await createProbe(platform, `neighbour-${language}`, language);
        assert.deepEqual(await neighbour.try({ do: 'list', path: '/tmp' }), { value: [] });
        const { error, bytes = 0 } = await probe.try({ do: 'fill', path: '/tmp/full' });
        assert.equal(error, 'ENOSPC');
        assert.ok(bytes <= DISK_MB * 1024 * 1024 && bytes > (DISK_MB * 1024 * 1024) / 2, `${bytes}`);
      });

      await t.test('it connects neither to the platform nor to the host', async () => {
        const ports = [Number(new URL(platform.url).port), listener.port];
        const hosts = ['127.0.0.1', '::1', ...listener.addresses, await gatewayOf(probe)];
        const targets = hosts.flatMap((host) => ports.map((port) => ({ host, port })));
        assertUnreachable(targets, await probe.try({ do: 'connect', targets }));
        assert.equal(listener.connections(), 0);
      });

      await t.test('it sees only its own processes', async () => {
        const { value } = await probe.try({ do: 'list', path: '/proc' });
        assert.ok(Array.isArray(value));
        const pids = value.filter((name) => /^\d+$/.test(String(name)));
        assert.ok(pids.length <= VISIBLE_PROCESSES_MAX, pids.join());
      });

      await t.test('it has no capability, a system call filter and a user that owns nothing', async () => {
        const { value } = await probe.try({ do: 'read', path: '/proc/self/status' });
        const status = statusOf(String(value));
        for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
          assert.match(status.get(set) ?? '', /^0+$/, set);
        assert.equal(status.get('NoNewPrivs'), '1');
        assert.equal(status.get('Seccomp'), '2');
        const uids = await hostUidsOf(platform.pid, probe);
        assert.ok(uids.length > 0);
        for (const uid of uids) assert.notEqual(uid, 0);
      });

      await t.test('its environment holds nothing of the platform', async () => {
        const { accessKeyId, accessKeySecret } = platform.credentials;
        const { value } = await probe.try({ do: 'environment' });
        assert.ok(typeof value === 'object' && value !== null);
        assert.deepEqual(
          Object.keys(value).filter((name) => name.startsWith('THAW')),
          [],
        );
        const own = await probe.try({ do: 'read', path: '/proc/self/environ' });
        const first = await probe.try({ do: 'read', path: '/proc/1/environ' });
        const cmdline = await probe.try({ do: 'read', path: '/proc/1/cmdline' });
        const text = JSON.stringify([value, own, first, cmdline]);
        for (const secret of [accessKeyId, accessKeySecret, platform.dataDir, ROOT]) {
          assert.equal(text.includes(secret), false, secret);
        }
      });

      await t.test('a second connection to its link gets nothing', async () => {
        const outcome = await probe.try({ do: 'link', path: '/run/thaw/link/s' });
        assert.ok(
          outcome.value === '' ||
            ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EACCES'].includes(outcome.error ?? ''),
          JSON.stringify(outcome),
        );
      });

      await t.test('programs that would lead out of the sandbox fail', async () => {
        for (const command of [
          ['mount', '-t', 'tmpfs', 'none', '/tmp'],
          ['unshare', '--user', '--map-root-user', 'true'],
          ['unshare', '--mount', 'true'],
          ['nsenter', '--target', '1', '--mount', 'true'],
        ]) {
          const { value } = await probe.try({ do: 'run', command });
          assert.ok(typeof value === 'object' && value !== null && 'status' in value);
          assert.notEqual(value.status, 0, command.join(' '));
        }
      });

      if (language === 'python') {
        await t.test('so do the system calls themselves', async () => {
          const { value } = await probe.try({ do: 'run', command: ['python', 'systemCalls'] });
          assert.ok(typeof value === 'object' && value !== null);
          for (const [name, outcome] of Object.entries(value))
            // EINVAL: a user that does not exist in there.
            assertOneOf({ error: String(outcome) }, ['EPERM', 'ENOSYS', 'EINVAL'], name);
          assert.equal(Object.keys(value).length, 8);
        });
        await t.test('its processes and threads are bounded', async (bounded) => {
          const unlimited = await missingLimit(platform, 'processes');
          if (unlimited !== undefined) {
            bounded.skip(unlimited);
            return;
          }
          const { value } = await probe.try({ do: 'run', command: ['python', 'processes'] });
          assert.ok(typeof value === 'object' && value !== null && 'count' in value && 'error' in value);
          assert.match(String(value.error), /can't start new thread/);
          assert.ok(Number(value.count) <= PROCESSES_MAX, String(value.count));
          assert.deepEqual(await probe.try({ do: 'write', path: '/tmp/after' }), { value: 'written' });
        });
      }

      await t.test('its memory is bounded, and the next call works', async (bounded) => {
        const unlimited = await missingLimit(platform, 'memory');
        if (unlimited !== undefined) {
          bounded.skip(unlimited);
          return;
        }
        const name = await createFunction(platform, `glutton-${language}`, {
          language,
          code: GLUTTONS[language],
          fields: { memorySize: 128 },
        });
        const killed = await invoke(platform, name, 'eat');
        assert.equal(killed.headers['x-fc-error-type'], 'UnhandledInvocationError');
        assert.match(functionErrorOf(killed).errorMessage, /memory/);
        assert.equal((await invoke(platform, name, 'rest')).body.toString(), 'rested');
      });
    });
  }

  await all.test('two functions do not reach each other', async () => {
    const server = await createFunction(platform, 'server', { code: SERVER });
    const address = (await invoke(platform, server)).body.toString();
    assert.match(address, /^\d+\.\d+\.\d+\.\d+$/);
    const probe = await createProbe(platform, 'visitor', 'nodejs');
    const targets = [{ host: address, port: 9000 }];
    assertUnreachable(targets, await probe.try({ do: 'connect', targets }));
  });
});

test('without a sandbox there is a warning that cannot be missed', async (t) => {
  const platform = await startPlatform(t, { isolation: 'process' });
  const frame = '!'.repeat(80);
  await waitFor('the warning', () => platform.output().includes(`${frame}\n!!! WARNING: `));
  const info: { warnings: readonly string[] } = JSON.parse(
    (await platform.thaw(['info', '--json'])).stdout.toString(),
  );
  assert.match(info.warnings.join('\n'), /isolat/i);
  for (const language of LANGUAGES) {
    const code =
      language === 'nodejs'
        ? 'exports.handler = (event) => event;'
        : 'def handler(event, context):\n    return event\n';
    const name = await createFunction(platform, `echo-${language}`, { language, code });
    assert.equal((await invoke(platform, name, 'hello')).body.toString(), 'hello');
  }
});

test('an ordinary user has sandboxes too', async (t) => {
  const skip =
    (process.getuid?.() === 0 ? undefined : 'only root can become another user') ??
    missingProgram('setpriv', 'bwrap') ??
    missingUserNamespaces();
  if (skip !== undefined) {
    t.skip(skip);
    return;
  }
  const home = await temporaryDirectory(t, 'thaw nobody ');
  await chmod(home, 0o700);
  await chown(home, NOBODY, NOBODY);
  const dataDir = join(home, 'data');
  await serveAsNobody(t, home, dataDir);
  const example = join(ROOT, 'examples/hello/s.yaml');
  const deployed = await runThaw(['deploy', '-t', example, '--data-dir', dataDir]);
  assert.equal(deployed.code, 0, deployed.stderr);
  const info: { isolation: string } = JSON.parse(
    (await runThaw(['info', '--json', '--data-dir', dataDir])).stdout.toString(),
  );
  assert.equal(info.isolation, 'bubblewrap');
  for (const name of ['hello-nodejs', 'hello-python']) {
    const answer = await runThaw(['invoke', name, '-d', '{"name":"nobody"}', '--data-dir', dataDir]);
    assert.equal(answer.stdout.toString(), 'hello nobody', answer.stderr);
  }
});

const GLUTTONS: Readonly<Record<Language, string>> = {
  nodejs: `
exports.handler = (event, context, callback) => {
  if (event.toString() === 'rest') return callback(null, 'rested');
  const eaten = [];
  for (;;) eaten.push(Buffer.alloc(16 * 1024 * 1024, 1));
};`,
  python: `
def handler(event, context):
    if event == b'rest':
        return 'rested'
    eaten = []
    while True:
        eaten.append(bytearray(b'x') * (16 * 1024 * 1024))
`,
};

const SERVER = `
const { createServer } = require('node:net');
const { networkInterfaces } = require('node:os');
exports.handler = (event, context, callback) => {
  const server = createServer((socket) => socket.end('hello'));
  server.listen(9000, '0.0.0.0', () => {
    const own = Object.values(networkInterfaces()).flat().find(({ internal, family }) => !internal && family === 'IPv4');
    callback(null, own?.address ?? '127.0.0.1');
  });
};`;

function assertOneOf({ value, error }: Outcome, errors: readonly string[], what: string): void {
  assert.ok(error !== undefined && errors.includes(error), `${what}: ${error ?? JSON.stringify(value)}`);
}

function assertUnreachable(targets: readonly Target[], { value, error }: Outcome): void {
  assert.ok(Array.isArray(value) && value.length === targets.length, error ?? JSON.stringify(value));
  const outcomes: readonly Outcome[] = value;
  for (const [at, outcome] of outcomes.entries()) {
    assertOneOf(outcome, UNREACHABLE, JSON.stringify(targets[at]));
  }
}

function writablesOf({ value }: Outcome): string[] {
  assert.ok(typeof value === 'object' && value !== null && 'output' in value);
  return String(value.output)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('find:'));
}

function statusOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\n').map((line): [string, string] => {
      const [name = '', ...rest] = line.split(':');
      return [name, rest.join(':').trim()];
    }),
  );
}

/** The host's end of the sandbox's network, from the default route: eight hexadecimal digits, lowest byte first. */
async function gatewayOf(probe: Probe): Promise<string> {
  const { value } = await probe.try({ do: 'read', path: '/proc/net/route' });
  const gateway = /^\S+\t00000000\t([0-9A-F]{8})\t/mu.exec(String(value))?.[1];
  return gateway === undefined ? '127.0.0.1' : [...Buffer.from(gateway, 'hex')].toReversed().join('.');
}

/** User ids on the host of the runtime of this probe's function, or of what has its environment. */
async function hostUidsOf(platformPid: number, probe: Probe): Promise<number[]> {
  const { value } = await probe.try({ do: 'environment' });
  assert.ok(typeof value === 'object' && value !== null && 'FC_INSTANCE_ID' in value);
  const runtime = (await instanceProcesses(platformPid, String(value.FC_INSTANCE_ID))).at(-1);
  const mark = `FC_INSTANCE_ID=${String(value.FC_INSTANCE_ID)}\0`;
  const uids: number[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const isMarked = (await readFile(`/proc/${pid}/environ`, 'utf8')).includes(mark);
      if (!isMarked && Number(pid) !== runtime) continue;
      const uid = statusOf(await readFile(`/proc/${pid}/status`, 'utf8')).get('Uid') ?? '';
      uids.push(...uid.split('\t').map(Number));
    } catch {
      // It has ended, or it is somebody else's.
    }
  }
  return uids;
}

interface Listening {
  readonly port: number;
  readonly addresses: readonly string[];
  connections(): number;
}

/** Something on the host that answers at each of its addresses. */
async function listenEverywhere(t: TestContext): Promise<Listening> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.end('host');
  });
  server.listen(0, '::');
  await once(server, 'listening');
  afterTest(t, () => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const addresses = Object.values(networkInterfaces()).flatMap((each) =>
    (each ?? []).flatMap((own) => (own.internal || (own.scopeid ?? 0) > 0 ? [] : [own.address])),
  );
  return { port: address.port, addresses, connections: () => connections };
}

function missingUserNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { status } = spawnSync('setpriv', [
    ...AS_NOBODY,
    'bwrap',
    '--unshare-user',
    '--ro-bind',
    '/',
    '/',
    process.execPath,
    THAW,
    '--version',
  ]);
  return status === 0 ? undefined : 'user namespaces, or this directory, are closed to ordinary users';
}

const AS_NOBODY = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];

async function serveAsNobody(t: TestContext, home: string, dataDir: string): Promise<void> {
  const serve = [
    process.execPath,
    THAW,
    'serve',
    '--port',
    '0',
    '--data-dir',
    dataDir,
    '--isolation',
    'bubblewrap',
  ];
  const [program = '', ...args] = process.getuid?.() === 0 ? ['setpriv', ...AS_NOBODY, ...serve] : serve;
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', HOME: home, TMPDIR: home },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exited = once(child, 'exit');
  afterTest(t, async () => {
    child.kill('SIGTERM');
    await exited;
  });
  await waitFor('the platform of an ordinary user', () => {
    assert.equal(child.exitCode, null, output);
    return output.includes('Thaw is listening on ');
  });
}
