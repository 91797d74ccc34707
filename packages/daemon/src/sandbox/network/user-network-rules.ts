/**
 * What may leave a sandbox whose packets a process of this user carries on to the world, as input for `nft`. The rules
 * stand in the sandbox's own network, where nothing inside has a right to change them, because that process would call
 * whatever it is asked to as a program of the host:
 *  1. to the host's loopback, which a socket bound to the interface can name in spite of every route: nothing;
 *  2. to the host's own addresses: nothing;
 *  3. to link-local addresses (a cloud's metadata service), to many receivers at once, and by IPv6: nothing;
 *  4. to the rest of the world: everything; from the world: answers only.
 */
export function userNetworkRules(hostAddresses: readonly string[]): string {
  const own = hostAddresses.filter((address) => !address.startsWith('127.'));
  const toHost = own.length === 0 ? '' : `ip daddr { ${[...new Set(own)].join(', ')} } drop`;
  return `table inet thaw {
  chain output {
    type filter hook output priority 0; policy accept;
    oifname "lo" accept
    meta nfproto ipv6 drop
    ip daddr { 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 } drop
    ${toHost}
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "lo" accept
    ct state established,related accept
    drop
  }
}
`;
}
