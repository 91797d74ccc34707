import { closeSync, openSync, writeFileSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { loadFfi, openCheck } from '../bubblewrap/load-ffi.ts';
import {
  addAddress,
  addDefaultRoute,
  createVeth,
  decodeAnswers,
  deleteDefaultRoute,
  deleteLinkGroup,
  encodeRequests,
  getLink,
  INNER_INDEX,
  LOOPBACK_INDEX,
  setLinkGroup,
  setLinkUp,
  type NetlinkAnswer,
  type NetlinkRequest,
} from './netlink.ts';

/** As in Linux's headers, on every architecture that Node runs on. */
const CLONE_NEWNET = 0x40000000;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const MSG_DONTWAIT = 0x40;
/** Of the answers to what is sent together; one that describes a link takes some two thousand. */
const ANSWER_BYTES_MAX = 65_536;
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

export interface NetworkNames {
  readonly hostInterface: string;
  readonly hostAddress: string;
  readonly sandboxAddress: string;
}

/**
 * Networks made by system calls of the thread that asks, which waits for locks of the whole machine meanwhile and so must
 * have nothing else to do. What `ip` does for one network takes several programs and ten times the processor.
 */
export interface NetworkCalls {
  /** Open file of a new namespace that is connected to this one. The file is all that keeps it. Throws. */
  make(names: NetworkNames): number;
  /** What is inside reaches nothing beyond the host's end any more. Throws. */
  closeWayOut(namespace: number): void;
  /** The interfaces of these, with the ends inside; those that are gone are passed over. */
  deleteInterfaces(names: readonly string[], group: number): void;
}

/** Throws where Node cannot call the C library. */
export function openNetworkCalls(): NetworkCalls {
  const ffi = loadFfi();
  const { functions: c } = ffi.dlopen(null, {
    unshare: { arguments: ['int32'], return: 'int32' },
    setns: { arguments: ['int32', 'int32'], return: 'int32' },
    socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
    send: { arguments: ['int32', 'buffer', 'uint64', 'int32'], return: 'int64' },
    recv: { arguments: ['int32', 'buffer', 'uint64', 'int32'], return: 'int64' },
    close: { arguments: ['int32'], return: 'int32' },
  });
  const check = openCheck(ffi);
  const home = openSync(OWN_NAMESPACE, 'r');
  const openSocket = (): number =>
    check(c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), 'opening a netlink socket');
  const hostSocket = openSocket();
  const received = Buffer.alloc(ANSWER_BYTES_MAX);

  /** The kernel has done everything when the sending returns, and every answer waits. */
  const ask = (socket: number, requests: readonly NetlinkRequest[]): NetlinkAnswer[] => {
    const block = encodeRequests(requests);
    check(c.send(socket, block, BigInt(block.length), 0), 'asking netlink');
    const answers: NetlinkAnswer[] = [];
    while (answers.length < requests.length) {
      const length = c.recv(socket, received, BigInt(received.length), MSG_DONTWAIT);
      answers.push(...decodeAnswers(received.subarray(0, check(length, 'hearing netlink'))));
    }
    return answers;
  };
  const demand = (socket: number, requests: readonly NetlinkRequest[], what: string): NetlinkAnswer[] => {
    const answers = ask(socket, requests);
    const failed = answers.find(({ error }) => error !== 0);
    if (failed !== undefined)
      throw new Error(`${what} (step ${failed.request}): ${getSystemErrorName(-failed.error)}`);
    return answers;
  };
  /** Whatever happens, the thread is at home afterwards: what it makes next would be a sandbox's otherwise. */
  const abroad = <T>(enter: () => void, act: () => T): T => {
    try {
      enter();
      return act();
    } finally {
      check(c.setns(home, CLONE_NEWNET), 'returning from a network namespace');
    }
  };

  return {
    make: ({ hostInterface, hostAddress, sandboxAddress }) => {
      let namespace: number | undefined;
      let inside: number | undefined;
      try {
        abroad(
          () => check(c.unshare(CLONE_NEWNET), 'making a network namespace'),
          () => {
            namespace = openSync(OWN_NAMESPACE, 'r');
            inside = openSocket();
            switchOffIpv6('all');
            freeLowPorts();
          },
        );
        if (namespace === undefined || inside === undefined) throw new Error('a namespace without a file');
        const made = demand(
          hostSocket,
          [createVeth(hostInterface, namespace), getLink(hostInterface)],
          `making ${hostInterface}`,
        );
        const index = made.find((answer) => answer.index !== undefined)?.index ?? 0;
        switchOffIpv6(hostInterface);
        demand(hostSocket, [addAddress(index, hostAddress), setLinkUp(index)], `preparing ${hostInterface}`);
        demand(
          inside,
          [
            setLinkUp(LOOPBACK_INDEX),
            addAddress(INNER_INDEX, sandboxAddress),
            setLinkUp(INNER_INDEX),
            addDefaultRoute(hostAddress),
          ],
          `preparing the other end of ${hostInterface}`,
        );
        return namespace;
      } catch (error) {
        if (namespace !== undefined) closeSync(namespace);
        throw error;
      } finally {
        if (inside !== undefined) c.close(inside);
      }
    },
    closeWayOut: (namespace) => {
      abroad(
        () => check(c.setns(namespace, CLONE_NEWNET), 'entering a network namespace'),
        () => {
          const socket = openSocket();
          try {
            demand(socket, [deleteDefaultRoute()], 'closing the way out of a network');
          } finally {
            c.close(socket);
          }
        },
      );
    },
    deleteInterfaces: (names, group) => {
      for (const name of names) ask(hostSocket, [setLinkGroup(name, group)]);
      ask(hostSocket, [deleteLinkGroup(group)]);
    },
  };
}

/**
 * The host's IPv6 neighbours would be reachable around rules that translate addresses, and the host's end need not answer
 * either. Of interfaces that come later, too, where it is `all`. A kernel without IPv6 has no file.
 */
function switchOffIpv6(name: string): void {
  try {
    // Not looked for before: the kernel finds such a name among those of all namespaces, one after the other.
    writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

/** Each sandbox has all ports to itself. */
function freeLowPorts(): void {
  writeFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', '0');
}
