import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { BenchContext } from '../context.ts';
import { findProgram, runProgram, startProgram } from '../machine/program.ts';

/** A network between a registry and a machine: how fast, and how far. */
export interface LinkShape {
  readonly bitsPerSecond: number;
  /** There and back. */
  readonly roundTripMs: number;
}

export interface ShapedLink {
  /** What is at the far end, at the whole distance. */
  readonly host: string;
  /** The same without the delay, for what is not measured. */
  readonly nearHost: string;
  /** The command that runs a program at the far end. It ends with this process, however that ends. */
  beyond(command: string, args: readonly string[]): readonly [string, readonly string[]];
  /** Bytes that came from there so far, with the headers of HTTP, without those below it. */
  bytes(): Promise<number>;
}

const DELAY_LINE = join(import.meta.dirname, 'delay-line.py');
const PROGRAMS = ['python3', 'ip', 'tc', 'unshare', 'nsenter', 'setpriv'];
/** What may leave at once: two of the largest pieces that TCP hands down, a millisecond of the line. */
const BURST_BYTES = 128 * 1024;
/** What may wait for the line before it drops. */
const QUEUE_BYTES = 4 * 1024 * 1024;
/** Of Ethernet, IP and TCP with a time stamp. The kernel counts pieces of up to 64 KB, each with one of these. */
const HEADER_BYTES = 14 + 20 + 32;
/** Networks of eight addresses in the half of the range for benchmarks of networks (RFC 2544) that is used here. */
const NETWORKS = 8192;

/** What a link needs and this machine lacks, or undefined. */
export function missingForLink(): string | undefined {
  const missing = PROGRAMS.filter((name) => findProgram(name) === undefined);
  if (!existsSync('/dev/net/tun')) missing.push('/dev/net/tun');
  return missing.length === 0 ? undefined : `this machine has no ${missing.join(', ')}`;
}

/**
 * A network namespace behind a pair of virtual Ethernet devices. Answers leave it through the kernel's `tbf`; requests
 * and acknowledgements go through a TUN device that holds each for the round trip, since few kernels have `netem` and
 * little goes that way. Slow start, windows and the sharing of the line are those of the kernel's own TCP.
 * Seen where it was built, with the machine's own choice of congestion control (BBR): a connection is made in 5.2 to
 * 5.7 ms, one GET carries 943 Mbit/s and four together 935 (what 1 Gbit/s leaves beside headers), and on a new
 * connection 100 KB take 21 ms, 10 MB 114 ms.
 */
export async function startShapedLink(context: BenchContext, shape: LinkShape): Promise<ShapedLink> {
  const name = `thb-${process.pid}`;
  const network = process.pid % NETWORKS;
  const address = (last: number): string => `198.18.${Math.floor(network / 32)}.${(network % 32) * 8 + last}`;
  const [self, host, nearHost] = [address(1), address(2), address(3)];
  const line = startProgram(
    findProgram('unshare') ?? 'unshare',
    ['--net', 'python3', DELAY_LINE, 'delay', String(shape.roundTripMs)],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  context.onEnd(() => line.stop());
  await waitFor('the delay of the link', () => {
    if (line.child.exitCode !== null) throw new Error(`the link cannot delay: ${lastLine(line.output())}`);
    return line.output().includes('ready');
  });
  const namespace = `/proc/${line.pid}/ns/net`;
  // The namespace goes with its last process; its devices go with it, but some time later.
  context.onEnd(() => runProgram('ip', ['link', 'delete', name]));
  // Nobody answers for an address that is not here yet, so where the far ones are is said.
  const mac = '02:00:00:00:00:02';
  await shell([
    `ip link add ${name} type veth peer name near address ${mac} netns ${line.pid}`,
    `ip link set ${name} addrgenmode none`,
    `ip address add ${self}/29 dev ${name}`,
    `ip link set ${name} up`,
    ...[host, nearHost].map((each) => `ip neighbour replace ${each} lladdr ${mac} dev ${name} nud permanent`),
  ]);
  await shell(
    [
      'cd /proc/sys/net/ipv4',
      'echo 1 > ip_forward',
      // Otherwise packets of a known connection pass the delay by.
      'echo 0 > ip_early_demux',
      // No connection begins with what an earlier one has learnt.
      'echo 1 > tcp_no_metrics_save',
      'for each in all near delay; do echo 0 > conf/$each/rp_filter; done',
      'ip link set lo up',
      'ip link set near addrgenmode none',
      'ip link set delay addrgenmode none',
      `ip address add ${host}/29 dev near`,
      `ip address add ${nearHost}/29 dev near`,
      'ip link set near up',
      'ip link set delay up',
      // What comes for the far address is routed before it is known as this namespace's own, once.
      'ip rule add pref 20 lookup local',
      `ip rule add pref 10 iif near to ${host} lookup 100`,
      'ip rule delete pref 0',
      'ip route add default dev delay table 100',
      `tc qdisc add dev near root tbf rate ${shape.bitsPerSecond}bit burst ${BURST_BYTES} limit ${QUEUE_BYTES}`,
    ],
    ['nsenter', `--net=${namespace}`],
  );
  const counted = async (what: string): Promise<number> =>
    Number(await readFile(`/sys/class/net/${name}/statistics/${what}`, 'utf8'));
  return {
    host,
    nearHost,
    beyond: (command, args) => [
      'nsenter',
      [`--net=${namespace}`, 'setpriv', '--pdeathsig', 'KILL', command, ...args],
    ],
    bytes: async () => (await counted('rx_bytes')) - HEADER_BYTES * (await counted('rx_packets')),
  };
}

async function shell(lines: readonly string[], within: readonly string[] = []): Promise<void> {
  const [command, ...args] = [...within, 'sh', '-ec', lines.join('\n')];
  const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  const { code, stderr } = await runProgram(command, args, { env: { ...process.env, PATH } });
  if (code !== 0) throw new Error(`the link cannot be made: ${lastLine(stderr)}`);
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) ?? '';
}
