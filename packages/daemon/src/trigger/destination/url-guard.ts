import { BlockList, isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Addresses that are this machine's or its neighbours': what a function's owner names must not reach into there. */
const INNER = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['224.0.0.0', 3],
] as const) {
  INNER.addSubnet(net, bits, 'ipv4');
}
for (const [net, bits] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  INNER.addSubnet(net, bits, 'ipv6');
}

/** Whether a destination may have this address without the operator's word. Mapped addresses are what they map. */
export function isOuterAddress(address: string): boolean {
  if (isIP(address) === 0) return false;
  if (INNER.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')) return false;
  return !Object.values(networkInterfaces()).some((each) => each?.some((own) => own.address === address));
}

/** `allowed` has the operator's hosts: `host` for all of its ports, or `host:port`. */
export function isAllowedHost(url: URL, allowed: ReadonlySet<string>): boolean {
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return allowed.has(url.hostname) || allowed.has(`${url.hostname}:${port}`);
}
