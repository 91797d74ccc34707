import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { signalIfThere } from '../cgroup/cgroup.ts';
import type { Uplink } from '../launcher/launch.ts';
import { findProgram } from '../launcher/run-program.ts';
import { until } from '../launcher/until.ts';
import { userNetworkRules } from './user-network-rules.ts';

const TUNNEL_DEVICE = '/dev/net/tun';
const ATTACH_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 5000;
/** How the kernel's table of routes writes an address or a mask of zeroes. */
const NO_BITS = '00000000';
/** Brings up the loopback, then the rules, then becomes what follows. */
const SCRIPT = '"$0" link set lo up && "$1" "$2" && shift 2 && exec "$@"';

/** The way out for sandboxes of an ordinary user: for each a `pasta` that makes calls of its own from their packets. */
export class UserNetwork {
  readonly #directory: string;
  readonly #programs: {
    readonly pasta: string;
    readonly nft: string;
    readonly unshare: string;
    readonly ip: string;
  };

  private constructor(directory: string) {
    this.#directory = directory;
    this.#programs = {
      pasta: required('pasta'),
      nft: required('nft'),
      unshare: required('unshare'),
      ip: required('ip'),
    };
  }

  /** Tries the whole on a network of no use; rejects with why it cannot be. */
  static async open(directory: string): Promise<UserNetwork> {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const network = new UserNetwork(directory);
    try {
      closeSync(openSync(TUNNEL_DEVICE, 'r+'));
    } catch (error) {
      throw new Error(`${TUNNEL_DEVICE} cannot be opened`, { cause: error });
    }
    await network.#probe();
    return network;
  }

  /** What stands before a command that is to run in a network of its own, which `attach` then connects. */
  enterNew(): readonly [string, ...string[]] {
    const { unshare, ip, nft } = this.#programs;
    const rules = userNetworkRules(hostAddresses());
    return [unshare, '--user', '--map-root-user', '--net', '--', '/bin/sh', '-c', SCRIPT, ip, nft, rules];
  }

  /** Connects the network of this process; resolves when it can be used. The rules must stand by then. */
  async attach(name: string, pid: number): Promise<Uplink> {
    const pidFile = join(this.#directory, name);
    const options = [
      ['--config-net', '--ipv4-only', '--quiet', '--pid', pidFile],
      // A second lock: no TCP to addresses that the host's other interfaces get once the rules stand.
      ['--outbound-if4', interfaceOfDefaultRoute()],
      // Otherwise the gateway's address means the host, and ports are carried over both loopbacks.
      ['--no-map-gw', '-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'],
    ].flat();
    const child = spawn(this.#programs.pasta, [...options, String(pid)], {
      env: {},
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: ATTACH_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    // It ends when all is ready and a child of its own goes on, which does not notice the end of the network.
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code === 0) return { end: () => endUplink(pidFile) };
    await endUplink(pidFile);
    throw new Error(`pasta: ${meaningful(complaint) || `it ended with ${code ?? 'a signal'}`}`);
  }

  async #probe(): Promise<void> {
    const [program, ...args] = [...this.enterNew(), '/bin/sh', '-c', 'echo ready && exec cat'];
    const child = spawn(program, args, {
      env: {},
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: ATTACH_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    child.stdin.on('error', () => undefined);
    const closed = once(child, 'close');
    try {
      const isReady = await Promise.race([
        once(child.stdout, 'data').then(() => true),
        closed.then(() => false),
      ]);
      if (!isReady || child.pid === undefined)
        throw new Error(complaint.trim() || 'a network of its own cannot be made');
      const uplink = await this.attach('probe', child.pid);
      await uplink.end();
    } finally {
      child.stdin.end();
      await closed;
    }
  }
}

/** Where the numbers of the processes are, below what is private to the launcher. */
export function uplinkDirectory(directory: string): string {
  return join(directory, 'uplinks');
}

/** For a platform that opens after a crash, whether or not it can make such networks itself. */
export async function clearUplinks(directory: string): Promise<void> {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return;
  }
  for (const name of names) await endUplink(join(directory, name));
}

async function endUplink(pidFile: string): Promise<void> {
  await until(() => {
    const pid = uplinkOf(pidFile);
    if (pid === undefined) return true;
    signalIfThere(pid, 'SIGKILL');
    return false;
  }, END_TIMEOUT_MS);
  rmSync(pidFile, { force: true });
}

/** A process counts only while its command line names the file: its number may have gone to another one. */
function uplinkOf(pidFile: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8'));
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return pid > 0 && commandLine.includes(pidFile) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function hostAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .flatMap(({ family, address }) => (family === 'IPv4' ? [address] : []));
}

function interfaceOfDefaultRoute(): string {
  const routes = readFileSync('/proc/net/route', 'utf8').split('\n').slice(1);
  const fields = routes.map((line) => line.split('\t'));
  const name = fields.find(
    ([, destination, , , , , , mask]) => destination === NO_BITS && mask === NO_BITS,
  )?.[0];
  if (name === undefined) throw new Error('the host has no default route');
  return name;
}

/** Older versions also tell that there is no system log where they run. */
function meaningful(complaint: string): string {
  const lines = complaint.split('\n').filter((line) => !/^Failed to send \d+ bytes to syslog$/u.test(line));
  return lines.join('\n').trim();
}

function required(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}
