import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { findProgram, runProgram } from '../launcher/run-program.ts';
import { addressPlan, NETWORKS_MAX, type AddressPlan } from './address-plan.ts';
import { openFirewall, type Firewall } from './network-firewall.ts';

/** A network of a sandbox's own: a network namespace with a way out through the host. */
export interface NetworkLease {
  /** File that names the namespace, for `nsenter --net=`. */
  readonly path: string;
  readonly address: string;
  /** Takes the network away once no process of the sandbox is left. */
  release(): void;
}

/** So many wait ready: making one costs some ten milliseconds and takes a lock of the whole machine. */
const READY_MAX = 8;
/** Made in one go: one run of `ip` serves them all. */
const BATCH_MAX = 16;
const WAITING_MAX = 256;
const NAMESPACES_DIRECTORY = '/run/netns';

interface Network {
  readonly index: number;
  readonly name: string;
  readonly hostInterface: string;
}

interface Programs {
  readonly ip: string;
  readonly nsenter: string;
}

/**
 * Network namespaces made ahead of use. A used one is never handed out again: sockets, addresses in caches and
 * connection states of one function must not meet the next.
 */
export class NetworkPool {
  readonly note: string | undefined;
  readonly #hash: string;
  readonly #plan: AddressPlan;
  readonly #programs: Programs;
  readonly #firewall: Firewall;
  readonly #ready: Network[] = [];
  readonly #waiting: { resolve: (network: Network) => void; reject: (error: Error) => void }[] = [];
  readonly #used = new Set<number>();
  #nextIndex = 0;
  #work: Promise<void> = Promise.resolve();
  #isFilling = false;
  #isClosed = false;

  private constructor(
    hash: string,
    plan: AddressPlan,
    programs: Programs,
    firewall: Firewall,
    note: string | undefined,
  ) {
    this.#hash = hash;
    this.#plan = plan;
    this.#programs = programs;
    this.#firewall = firewall;
    this.note = note;
  }

  /** Rejects with the reason where private networks cannot be made. `hash` is eight hexadecimal digits. */
  static async open(hash: string, nameServers: string): Promise<NetworkPool> {
    const ip = findProgram('ip');
    const nsenter = findProgram('nsenter');
    if (ip === undefined || nsenter === undefined) throw new Error('ip or nsenter is not installed');
    const routes = await runProgram(ip, ['-4', 'route', 'show', 'table', 'all']);
    const addresses = nameServers.split(/\s+/u);
    const taken = [...routes.split(/\s+/u), ...addresses];
    const plan = addressPlan(taken, Number.parseInt(hash.slice(0, 6), 16));
    if (plan === undefined) throw new Error('every private address range is in use on this machine');
    const firewall = await openFirewall({
      table: `thaw_${hash}`,
      interfacePrefix: interfacePrefix(hash),
      anyInterfacePrefix: 'thaw',
      range: plan.range,
    });
    try {
      const pool = new NetworkPool(hash, plan, { ip, nsenter }, firewall, enableForwarding());
      await pool.#make(1);
      pool.#fill();
      return pool;
    } catch (error) {
      await clearNetworks(ip, hash);
      await firewall.close();
      throw error;
    }
  }

  /** Without a way out the host still reaches the sandbox, and the sandbox can answer. */
  async lease(hasWayOut: boolean): Promise<NetworkLease> {
    const network = this.#ready.shift() ?? (await this.#wait());
    this.#fill();
    if (!hasWayOut) await this.#closeWayOut(network);
    return {
      path: `${NAMESPACES_DIRECTORY}/${network.name}`,
      address: this.#plan.sandboxAddress(network.index),
      release: () => {
        this.#work = this.#work.then(() => this.#delete(network));
      },
    };
  }

  /** Every lease has been released before. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the network pool is closed'));
    await this.#work;
    await clearNetworks(this.#programs.ip, this.#hash);
    await this.#firewall.close();
  }

  #wait(): Promise<Network> {
    if (this.#waiting.length >= WAITING_MAX) throw new Error('too many sandboxes wait for a network');
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#fill();
    });
  }

  #fill(): void {
    if (this.#isFilling || this.#isClosed) return;
    const lacking = READY_MAX + this.#waiting.length - this.#ready.length;
    if (lacking <= 0) return;
    this.#isFilling = true;
    this.#work = this.#work.then(async () => {
      try {
        await this.#make(Math.min(lacking, BATCH_MAX));
        this.#isFilling = false;
        this.#fill();
      } catch (error) {
        // The next lease tries again; who waits now hears why.
        this.#isFilling = false;
        for (const { reject } of this.#waiting.splice(0))
          reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  async #make(count: number): Promise<void> {
    const networks = Array.from({ length: count }, () => this.#newNetwork());
    try {
      await runProgram(
        this.#programs.ip,
        ['-batch', '-'],
        networks.map((network) => this.#hostBatch(network)).join(''),
      );
      for (const { hostInterface } of networks) disableIpv6(hostInterface);
      await Promise.all(networks.map((network) => this.#prepareInside(network)));
    } catch (error) {
      for (const network of networks) await this.#delete(network);
      throw error;
    }
    for (const network of networks) {
      const waiter = this.#waiting.shift();
      if (waiter === undefined) this.#ready.push(network);
      else waiter.resolve(network);
    }
  }

  #newNetwork(): Network {
    if (this.#used.size >= NETWORKS_MAX) throw new Error('every address for sandboxes is in use');
    while (this.#used.has(this.#nextIndex)) this.#nextIndex = (this.#nextIndex + 1) % NETWORKS_MAX;
    const index = this.#nextIndex;
    this.#nextIndex = (index + 1) % NETWORKS_MAX;
    this.#used.add(index);
    return {
      index,
      name: `thaw-${this.#hash}-${index}`,
      hostInterface: `${interfacePrefix(this.#hash)}${index}`,
    };
  }

  #hostBatch({ index, name, hostInterface }: Network): string {
    return [
      `netns add ${name}`,
      `link add ${hostInterface} type veth peer name eth0 netns ${name}`,
      `addr add ${this.#plan.hostAddress(index)}/31 dev ${hostInterface}`,
      `link set ${hostInterface} up`,
      '',
    ].join('\n');
  }

  /**
   * IPv6 is off: the host's IPv6 neighbours would be reachable around rules that translate addresses. Low ports are
   * free, because each sandbox has all ports to itself.
   */
  async #prepareInside({ index, name }: Network): Promise<void> {
    const script = `echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null
exec "$0" -batch -`;
    const batch = [
      'link set lo up',
      `addr add ${this.#plan.sandboxAddress(index)}/31 dev eth0`,
      'link set eth0 up',
      `route add default via ${this.#plan.hostAddress(index)}`,
      '',
    ].join('\n');
    const { nsenter, ip } = this.#programs;
    await runProgram(nsenter, [`--net=${NAMESPACES_DIRECTORY}/${name}`, '/bin/sh', '-c', script, ip], batch);
  }

  /** Nobody inside may bring the route back: that takes a capability which nobody inside has. */
  async #closeWayOut(network: Network): Promise<void> {
    try {
      await runProgram(this.#programs.ip, ['-n', network.name, 'route', 'del', 'default']);
    } catch (error) {
      await this.#delete(network);
      throw error;
    }
  }

  /** The interface goes first and at once; with the namespace alone it would go some time after the last socket. */
  async #delete({ index, name, hostInterface }: Network): Promise<void> {
    const batch = `link del ${hostInterface}\nnetns del ${name}\n`;
    await runProgram(this.#programs.ip, ['-force', '-batch', '-'], batch).catch(() => undefined);
    this.#used.delete(index);
  }
}

/** Interface names have at most 15 characters: 4 + 6 + 5 digits of the index. */
function interfacePrefix(hash: string): string {
  return `thaw${hash.slice(0, 6)}`;
}

/** Removes the networks that an earlier launcher of the same platform left, also where none are made any more. */
export async function clearNetworksOf(hash: string): Promise<void> {
  const ip = findProgram('ip');
  if (process.getuid?.() === 0 && ip !== undefined) await clearNetworks(ip, hash);
}

async function clearNetworks(ip: string, hash: string): Promise<void> {
  const names = namedNamespaces().filter((name) => name.startsWith(`thaw-${hash}-`));
  const interfaces = hostInterfaces().filter((name) => name.startsWith(interfacePrefix(hash)));
  const lines = [
    ...interfaces.map((name) => `link del ${name}`),
    ...names.map((name) => `netns del ${name}`),
  ];
  if (lines.length === 0) return;
  await runProgram(ip, ['-force', '-batch', '-'], `${lines.join('\n')}\n`).catch(() => undefined);
}

function namedNamespaces(): string[] {
  try {
    return readdirSync(NAMESPACES_DIRECTORY);
  } catch {
    return [];
  }
}

/** The rules drop what sandboxes send by IPv6; this end need not answer it either. A kernel without IPv6 has no file. */
function disableIpv6(hostInterface: string): void {
  const file = `/proc/sys/net/ipv6/conf/${hostInterface}/disable_ipv6`;
  if (existsSync(file)) writeFileSync(file, '1');
}

/** `/proc/net` shows the network namespace of the reader; `/sys` that of whoever mounted it. */
function hostInterfaces(): string[] {
  const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n');
  return lines.flatMap((line) => /^\s*([^\s:|]+):/u.exec(line)?.[1] ?? []);
}

/** Without forwarding no packet leaves a sandbox. It is not switched off again: others may have come to need it. */
function enableForwarding(): string | undefined {
  const file = '/proc/sys/net/ipv4/ip_forward';
  if (readFileSync(file, 'utf8').trim() === '1') return undefined;
  writeFileSync(file, '1');
  return 'IPv4 forwarding was off on this machine and has been switched on for the networks of sandboxes';
}
