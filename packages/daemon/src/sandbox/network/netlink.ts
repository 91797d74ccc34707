import { endianness } from 'node:os';

/**
 * Messages of rtnetlink, the kernel's interface to links, addresses and routes (`man 7 rtnetlink`), and its answers. All
 * numbers are in the machine's own byte order, addresses in the network's; everything begins at a multiple of four.
 */
export const LINK = { create: 16, delete: 17, get: 18, set: 19 };
export const ADDRESS = { create: 20 };
export const ROUTE = { create: 24, delete: 25 };

const NLMSG_ERROR = 2;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const AF_INET = 2;
const IFF_UP = 1;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;
const HEADER_BYTES = 16;
const LITTLE = endianness() === 'LE';

/** In a fresh namespace the loopback is the first interface, and what we make is the second. */
export const LOOPBACK_INDEX = 1;
export const INNER_INDEX = 2;
const INNER_NAME = 'eth0';

/** A request, without its number, which is its place in what is sent together. */
export interface NetlinkRequest {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

export interface NetlinkAnswer {
  /** Place of the request in what was sent together. */
  readonly request: number;
  /** 0, or the number of the error. */
  readonly error: number;
  /** Of a link that was asked for. */
  readonly index: number | undefined;
}

/** A pair of interfaces, one here and one in the namespace of this open file, both down. */
export function createVeth(name: string, namespace: number): NetlinkRequest {
  const oneQueue = [attribute(IFLA_NUM_TX_QUEUES, uint32(1)), attribute(IFLA_NUM_RX_QUEUES, uint32(1))];
  const peer = [
    linkHead(INNER_INDEX, false),
    attribute(IFLA_IFNAME, text(INNER_NAME)),
    attribute(IFLA_NET_NS_FD, uint32(namespace)),
    ...oneQueue,
  ];
  const data = attribute(VETH_INFO_PEER, Buffer.concat(peer));
  const info = [attribute(IFLA_INFO_KIND, text('veth')), attribute(IFLA_INFO_DATA, data)];
  const body = [
    linkHead(0, false),
    attribute(IFLA_IFNAME, text(name)),
    ...oneQueue,
    attribute(IFLA_LINKINFO, Buffer.concat(info)),
  ];
  return request(LINK.create, body, NLM_F_CREATE | NLM_F_EXCL);
}

/** The answer has its index. */
export function getLink(name: string): NetlinkRequest {
  const body = Buffer.concat([linkHead(0, false), attribute(IFLA_IFNAME, text(name))]);
  return { type: LINK.get, flags: NLM_F_REQUEST, body };
}

export function setLinkUp(index: number): NetlinkRequest {
  return request(LINK.set, [linkHead(index, true)]);
}

export function setLinkGroup(name: string, group: number): NetlinkRequest {
  const attributes = [attribute(IFLA_IFNAME, text(name)), attribute(IFLA_GROUP, uint32(group))];
  return request(LINK.set, [linkHead(0, false), ...attributes]);
}

/** All at once: deleting one waits for every processor, and so does deleting many. */
export function deleteLinkGroup(group: number): NetlinkRequest {
  return request(LINK.delete, [linkHead(0, false), attribute(IFLA_GROUP, uint32(group))]);
}

/** One of a pair (RFC 3021). */
export function addAddress(index: number, address: string): NetlinkRequest {
  const head = Buffer.from([AF_INET, 31, 0, 0]);
  const own = ipv4(address);
  const attributes = [attribute(IFA_LOCAL, own), attribute(IFA_ADDRESS, own)];
  return request(ADDRESS.create, [head, uint32(index), ...attributes], NLM_F_CREATE | NLM_F_EXCL);
}

export function addDefaultRoute(gateway: string): NetlinkRequest {
  const body = [routeHead(), attribute(RTA_GATEWAY, ipv4(gateway))];
  return request(ROUTE.create, body, NLM_F_CREATE | NLM_F_EXCL);
}

export function deleteDefaultRoute(): NetlinkRequest {
  return request(ROUTE.delete, [routeHead()]);
}

/** As one block that the kernel works off in order. */
export function encodeRequests(requests: readonly NetlinkRequest[]): Buffer {
  return Buffer.concat(
    requests.flatMap(({ type, flags, body }, index) => [
      uint32(HEADER_BYTES + body.length),
      uint16(type),
      uint16(flags),
      uint32(index),
      uint32(0),
      body,
    ]),
  );
}

/** One answer to each request: an acknowledgement, an error or what was asked for. */
export function decodeAnswers(block: Buffer): NetlinkAnswer[] {
  const answers: NetlinkAnswer[] = [];
  for (let at = 0; at + HEADER_BYTES <= block.length;) {
    const length = readUint32(block, at);
    if (length < HEADER_BYTES || at + length > block.length)
      throw new Error('an answer of netlink is cut off');
    const isError = readUint16(block, at + 4) === NLMSG_ERROR;
    answers.push({
      request: readUint32(block, at + 8),
      error: isError ? -readInt32(block, at + HEADER_BYTES) : 0,
      index: isError ? undefined : readInt32(block, at + HEADER_BYTES + 4),
    });
    at += align(length);
  }
  return answers;
}

function request(type: number, body: readonly Buffer[], flags = 0): NetlinkRequest {
  return { type, flags: NLM_F_REQUEST | NLM_F_ACK | flags, body: Buffer.concat(body) };
}

/** `struct ifinfomsg`. */
function linkHead(index: number, isUp: boolean): Buffer {
  const flags = isUp ? IFF_UP : 0;
  return Buffer.concat([Buffer.alloc(4), uint32(index), uint32(flags), uint32(flags)]);
}

/** `struct rtmsg` of the route to everywhere. */
function routeHead(): Buffer {
  return Buffer.from([AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST, 0, 0, 0, 0]);
}

function attribute(type: number, value: Buffer): Buffer {
  const length = 4 + value.length;
  return Buffer.concat([uint16(length), uint16(type), value, Buffer.alloc(align(length) - length)]);
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function ipv4(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  if (LITTLE) bytes.writeUInt16LE(value);
  else bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  if (LITTLE) bytes.writeUInt32LE(value);
  else bytes.writeUInt32BE(value);
  return bytes;
}

function readUint16(block: Buffer, at: number): number {
  return LITTLE ? block.readUInt16LE(at) : block.readUInt16BE(at);
}

function readUint32(block: Buffer, at: number): number {
  return LITTLE ? block.readUInt32LE(at) : block.readUInt32BE(at);
}

function readInt32(block: Buffer, at: number): number {
  return LITTLE ? block.readInt32LE(at) : block.readInt32BE(at);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
