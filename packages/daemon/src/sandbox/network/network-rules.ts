/**
 * What the packets of sandboxes may do, as input for `nft -f` or `iptables-restore --noflush`:
 *  1. to the host's own addresses: nothing (answers to the host's own calls excepted);
 *  2. to sandboxes of this or another Thaw: nothing;
 *  3. to link-local addresses (a cloud's metadata service gives out the machine's credentials): nothing;
 *  4. to the rest of the world: everything, behind the host's address;
 *  5. from the world: answers only;
 *  6. from the host to a sandbox that is gone: nothing. Its address has no interface any more, and whoever the host's
 *     default route leads to would be asked, and might answer, in its place.
 */
export interface RuleNames {
  /** Table or chain name of this platform. */
  readonly table: string;
  /** Host interfaces of this platform's sandboxes start with this. */
  readonly interfacePrefix: string;
  /** Host interfaces of every Thaw's sandboxes start with this. */
  readonly anyInterfacePrefix: string;
  readonly range: string;
}

export function nftRules({ table, interfacePrefix, anyInterfacePrefix, range }: RuleNames): string {
  const own = `"${interfacePrefix}*"`;
  const any = `"${anyInterfacePrefix}*"`;
  return `table inet ${table} {
  chain input {
    type filter hook input priority -10; policy accept;
    iifname ${own} ct state established,related accept
    iifname ${own} drop
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifname ${own} oifname ${any} drop
    iifname ${own} ip daddr 169.254.0.0/16 drop
    iifname ${own} ip saddr != ${range} drop
    iifname ${own} meta nfproto ipv6 drop
    oifname ${own} ct state established,related accept
    oifname ${own} drop
  }
  chain output {
    type filter hook output priority -10; policy accept;
    ip daddr ${range} oifname != "lo" oifname != ${any} reject
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr ${range} oifname != ${any} masquerade
  }
}
`;
}

export function iptablesRules({ table, interfacePrefix, anyInterfacePrefix, range }: RuleNames): string {
  const own = `${interfacePrefix}+`;
  const any = `${anyInterfacePrefix}+`;
  return `*filter
:${table}-in - [0:0]
:${table}-fw - [0:0]
:${table}-out - [0:0]
-A ${table}-in -i ${own} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A ${table}-in -i ${own} -j DROP
-A ${table}-fw -i ${own} -o ${any} -j DROP
-A ${table}-fw -i ${own} -d 169.254.0.0/16 -j DROP
-A ${table}-fw -i ${own} ! -s ${range} -j DROP
-A ${table}-fw -i ${own} -j ACCEPT
-A ${table}-fw -o ${own} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A ${table}-fw -o ${own} -j DROP
-A ${table}-out -o lo -j RETURN
-A ${table}-out -o ${any} -j RETURN
-A ${table}-out -d ${range} -j REJECT
-I INPUT 1 -j ${table}-in
-I OUTPUT 1 -j ${table}-out
-I FORWARD 1 -j ${table}-fw
COMMIT
*nat
:${table}-nat - [0:0]
-A ${table}-nat -s ${range} ! -o ${any} -j MASQUERADE
-A POSTROUTING -j ${table}-nat
COMMIT
`;
}

/** `iptables` calls that take the rules away again, in order; each may fail when there is nothing. */
export function iptablesRemovals(table: string): string[][] {
  return [
    ['-D', 'INPUT', '-j', `${table}-in`],
    ['-D', 'FORWARD', '-j', `${table}-fw`],
    ['-D', 'OUTPUT', '-j', `${table}-out`],
    ['-F', `${table}-out`],
    ['-X', `${table}-out`],
    ['-F', `${table}-in`],
    ['-X', `${table}-in`],
    ['-F', `${table}-fw`],
    ['-X', `${table}-fw`],
    ['-t', 'nat', '-D', 'POSTROUTING', '-j', `${table}-nat`],
    ['-t', 'nat', '-F', `${table}-nat`],
    ['-t', 'nat', '-X', `${table}-nat`],
  ];
}

/**
 * A packet must be accepted by every table that sees it, and a container engine sets the policy of iptables' FORWARD
 * to DROP; these rules let sandboxes through there while ours decide.
 */
export function iptablesAdmissions(interfacePrefix: string): string[][] {
  const own = `${interfacePrefix}+`;
  return [
    ['FORWARD', '-i', own, '-j', 'ACCEPT'],
    ['FORWARD', '-o', own, '-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED', '-j', 'ACCEPT'],
  ];
}
