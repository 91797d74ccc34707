import { existsSync, writeFileSync } from 'node:fs';
import { runProgram } from '../launcher/run-program.ts';
import type { Network, NetworkMaker } from './network-maker.ts';

export interface NetworkPrograms {
  readonly ip: string;
  readonly nsenter: string;
}

/** Where `ip` keeps the files of network namespaces. */
export const NAMESPACES_DIRECTORY = '/run/netns';

/** Networks made by `ip`, which costs several programs each, where a thread of the launcher cannot make them. */
export class ProgramNetworks implements NetworkMaker {
  readonly batchMax = 16;
  readonly directory = NAMESPACES_DIRECTORY;
  readonly #programs: NetworkPrograms;

  constructor(programs: NetworkPrograms) {
    this.#programs = programs;
  }

  async make(networks: readonly Network[]): Promise<void> {
    await this.#batch(networks.map((network) => hostBatch(network)).join(''));
    for (const { hostInterface } of networks) disableIpv6(hostInterface);
    await Promise.all(networks.map((network) => this.#prepareInside(network)));
  }

  async closeWayOut({ name }: Network): Promise<void> {
    await runProgram(this.#programs.ip, ['-n', name, 'route', 'del', 'default']);
  }

  /** The interface goes first and at once; with the namespace alone it would go some time after the last socket. */
  async delete(networks: readonly Network[]): Promise<void> {
    const lines = networks.map(({ name, hostInterface }) => `link del ${hostInterface}\nnetns del ${name}\n`);
    await this.#batch(lines.join(''), ['-force']).catch(() => undefined);
  }

  async #batch(lines: string, options: readonly string[] = []): Promise<void> {
    await runProgram(this.#programs.ip, [...options, '-batch', '-'], lines);
  }

  /**
   * IPv6 is off: the host's IPv6 neighbours would be reachable around rules that translate addresses. Low ports are
   * free, because each sandbox has all ports to itself.
   */
  async #prepareInside({ name, hostAddress, sandboxAddress }: Network): Promise<void> {
    const script = `echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null
exec "$0" -batch -`;
    const batch = [
      'link set lo up',
      `addr add ${sandboxAddress}/31 dev eth0`,
      'link set eth0 up',
      `route add default via ${hostAddress}`,
      '',
    ].join('\n');
    const { nsenter, ip } = this.#programs;
    await runProgram(nsenter, [`--net=${NAMESPACES_DIRECTORY}/${name}`, '/bin/sh', '-c', script, ip], batch);
  }
}

function hostBatch({ name, hostInterface, hostAddress }: Network): string {
  return [
    `netns add ${name}`,
    `link add ${hostInterface} type veth peer name eth0 netns ${name}`,
    `addr add ${hostAddress}/31 dev ${hostInterface}`,
    `link set ${hostInterface} up`,
    '',
  ].join('\n');
}

/** The rules drop what sandboxes send by IPv6; this end need not answer it either. A kernel without IPv6 has no file. */
function disableIpv6(hostInterface: string): void {
  const file = `/proc/sys/net/ipv6/conf/${hostInterface}/disable_ipv6`;
  if (existsSync(file)) writeFileSync(file, '1');
}
