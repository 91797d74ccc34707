import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import type { KernelThread } from '../launcher/kernel-thread.ts';
import { findProgram, runProgram } from '../launcher/run-program.ts';
import { addressPlan, NETWORKS_MAX, type AddressPlan } from './address-plan.ts';
import { openFirewall, type Firewall } from './network-firewall.ts';
import type { Network, NetworkMaker } from './network-maker.ts';
import { NAMESPACES_DIRECTORY, ProgramNetworks } from './program-networks.ts';
import { ThreadedNetworks } from './threaded-networks.ts';

/** A network of a sandbox's own: a network namespace with a way out through the host. */
export interface NetworkLease {
  /** File that names the namespace, for `nsenter --net=`. */
  readonly path: string;
  readonly address: string;
  /** Takes the network away once no process of the sandbox is left. */
  release(): void;
}

const WAITING_MAX = 256;
/** Deleted ones may show for a moment longer. */
const CLEARINGS_MAX = 5;
/** No network was asked for in so long: more of them may be made. */
const IDLE_MS = 5000;
/** From one batch to the next, so that whoever comes after all finds most of the machine free. */
const IDLE_PAUSE_MS = 20;

export interface NetworkPoolOptions {
  /** Eight hexadecimal digits. */
  readonly hash: string;
  readonly nameServers: string;
  /** Makes the networks; absent: programs do. */
  readonly thread: KernelThread | undefined;
  /** So many wait ready; 0: each is made when it is wanted. */
  readonly spare: number;
  /** So many wait ready once none has been asked for in a while, where there is a thread to make them. */
  readonly idle: number;
  /** Private to the launcher. */
  readonly directory: string;
  readonly note: (text: string) => void;
}

/**
 * Network namespaces made ahead of use. A used one is never handed out again: sockets, addresses in caches and
 * connection states of one function must not meet the next.
 */
export class NetworkPool {
  readonly #hash: string;
  readonly #ip: string;
  readonly #plan: AddressPlan;
  readonly #spare: number;
  readonly #idle: number;
  readonly #note: (text: string) => void;
  readonly #firewall: Firewall;
  #maker: NetworkMaker;
  readonly #ready: Network[] = [];
  readonly #waiting: { resolve: (network: Network) => void; reject: (error: Error) => void }[] = [];
  readonly #used = new Set<number>();
  #nextIndex = 0;
  #doomed: Network[] = [];
  #filling: Promise<void> | undefined;
  #deleting: Promise<void> | undefined;
  #growth: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(
    { hash, spare, idle, note }: NetworkPoolOptions,
    ip: string,
    plan: AddressPlan,
    firewall: Firewall,
    maker: NetworkMaker,
  ) {
    this.#hash = hash;
    this.#spare = spare;
    this.#idle = idle;
    this.#note = note;
    this.#ip = ip;
    this.#plan = plan;
    this.#firewall = firewall;
    this.#maker = maker;
  }

  /** Rejects with the reason where private networks cannot be made. */
  static async open(options: NetworkPoolOptions): Promise<NetworkPool> {
    const { hash, nameServers, thread, directory, note } = options;
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
      enableForwarding(note);
      const programs = new ProgramNetworks({ ip, nsenter });
      const first = thread === undefined ? programs : new ThreadedNetworks(thread, directory, groupOf(hash));
      const pool = new NetworkPool(options, ip, plan, firewall, first);
      try {
        await pool.#make(1);
      } catch (error) {
        if (first === programs) throw error;
        note(`networks are made by programs, which is slower: ${String(error)}`);
        pool.#maker = programs;
        await pool.#make(1);
      }
      pool.#fill();
      pool.#growAfter(IDLE_MS);
      return pool;
    } catch (error) {
      await clearNetworks(ip, hash);
      await firewall.close();
      throw error;
    }
  }

  /** Holds the file of each network, by its name. */
  get directory(): string {
    return this.#maker.directory;
  }

  /** Without a way out the host still reaches the sandbox, and the sandbox can answer. */
  async lease(hasWayOut: boolean): Promise<NetworkLease> {
    const network = this.#ready.shift() ?? (await this.#wait());
    this.#fill();
    this.#growAfter(IDLE_MS);
    if (!hasWayOut) {
      try {
        // Nobody inside may bring the route back: that takes a capability which nobody inside has.
        await this.#maker.closeWayOut(network);
      } catch (error) {
        this.#delete(network);
        throw error;
      }
    }
    return {
      path: `${this.#maker.directory}/${network.name}`,
      address: network.sandboxAddress,
      release: () => this.#delete(network),
    };
  }

  /** Every lease has been released before. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#growth);
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the network pool is closed'));
    // What is being made is ready then.
    await this.#filling;
    for (const network of this.#ready.splice(0)) this.#delete(network);
    while (this.#deleting !== undefined) await this.#deleting;
    await clearNetworks(this.#ip, this.#hash);
    await this.#firewall.close();
  }

  #wait(): Promise<Network> {
    if (this.#isClosed) throw new Error('the network pool is closed');
    if (this.#waiting.length >= WAITING_MAX) throw new Error('too many sandboxes wait for a network');
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#fill();
    });
  }

  #fill(): void {
    this.#filling ??= this.#fillUp().finally(() => {
      this.#filling = undefined;
      // Who came in the moment between.
      if (this.#waiting.length > 0) this.#fill();
    });
  }

  async #fillUp(): Promise<void> {
    for (let lacking = this.#lacking(); lacking > 0; lacking = this.#lacking()) {
      try {
        await this.#make(Math.min(lacking, this.#maker.batchMax));
      } catch (error) {
        // The next lease tries again; who waits now hears why.
        for (const { reject } of this.#waiting.splice(0))
          reject(error instanceof Error ? error : new Error(String(error)));
        return;
      }
    }
  }

  /** A burst that finds networks ready has the processors for itself. */
  #growAfter(quietMs: number): void {
    clearTimeout(this.#growth);
    const byThread = this.#maker instanceof ThreadedNetworks;
    if (this.#isClosed || !byThread || this.#ready.length >= this.#idle) return;
    this.#growth = setTimeout(() => {
      if (this.#filling !== undefined) {
        this.#growAfter(quietMs);
        return;
      }
      this.#filling = this.#grow().finally(() => {
        this.#filling = undefined;
        if (this.#waiting.length > 0) this.#fill();
      });
    }, quietMs).unref();
  }

  async #grow(): Promise<void> {
    try {
      await this.#make(Math.min(this.#idle - this.#ready.length, this.#maker.batchMax));
      this.#growAfter(IDLE_PAUSE_MS);
    } catch (error) {
      this.#note(`no more than ${this.#ready.length} networks are ready: ${String(error)}`);
    }
  }

  #lacking(): number {
    return this.#isClosed ? 0 : this.#spare + this.#waiting.length - this.#ready.length;
  }

  async #make(count: number): Promise<void> {
    const networks: Network[] = [];
    try {
      while (networks.length < count) networks.push(this.#newNetwork());
      await this.#maker.make(networks);
    } catch (error) {
      for (const network of networks) this.#delete(network);
      await this.#deleting;
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
      hostAddress: this.#plan.hostAddress(index),
      sandboxAddress: this.#plan.sandboxAddress(index),
    };
  }

  /** Those of one moment go together: each deletion waits for every processor to come round. */
  #delete(network: Network): void {
    this.#doomed.push(network);
    this.#deleting ??= this.#deleteDoomed().finally(() => {
      this.#deleting = undefined;
    });
  }

  async #deleteDoomed(): Promise<void> {
    // Whoever ends in the same turn comes along.
    await Promise.resolve();
    while (this.#doomed.length > 0) {
      const networks = this.#doomed;
      this.#doomed = [];
      await this.#maker.delete(networks);
      for (const { index } of networks) this.#used.delete(index);
    }
  }
}

/** A number for interfaces that are about to go; the kernel's default is 0, and people take small ones. */
function groupOf(hash: string): number {
  return (Number.parseInt(hash.slice(0, 7), 16) | 0x40000000) >>> 0;
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
  for (let clearing = 0; clearing < CLEARINGS_MAX; clearing += 1) {
    const names = namedNamespaces().filter((name) => name.startsWith(`thaw-${hash}-`));
    const interfaces = hostInterfaces().filter((name) => name.startsWith(interfacePrefix(hash)));
    const lines = [
      ...interfaces.map((name) => `link del ${name}`),
      ...names.map((name) => `netns del ${name}`),
    ];
    if (lines.length === 0) return;
    await runProgram(ip, ['-force', '-batch', '-'], `${lines.join('\n')}\n`).catch(() => undefined);
  }
}

function namedNamespaces(): string[] {
  try {
    return readdirSync(NAMESPACES_DIRECTORY);
  } catch {
    return [];
  }
}

/** `/proc/net` shows the network namespace of the reader; `/sys` that of whoever mounted it. */
function hostInterfaces(): string[] {
  const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n');
  return lines.flatMap((line) => /^\s*([^\s:|]+):/u.exec(line)?.[1] ?? []);
}

/** Without forwarding no packet leaves a sandbox. It is not switched off again: others may have come to need it. */
function enableForwarding(note: (text: string) => void): void {
  const file = '/proc/sys/net/ipv4/ip_forward';
  if (readFileSync(file, 'utf8').trim() === '1') return;
  writeFileSync(file, '1');
  note('IPv4 forwarding was off on this machine and has been switched on for the networks of sandboxes');
}
