/**
 * Addresses of sandbox networks: one private /16 for the platform, in it one /31 (RFC 3021) for each sandbox, the even
 * address for the host's end and the odd one for the sandbox's.
 */
export interface AddressPlan {
  readonly range: string;
  hostAddress(index: number): string;
  sandboxAddress(index: number): string;
}

/** As many pairs as a /16 has. */
export const NETWORKS_MAX = 32_768;

/** Private ranges that home routers, clouds and container engines use least; the seed spreads platforms over them. */
const CANDIDATES = [
  ...Array.from({ length: 128 }, (_, index) => `10.${64 + index}`),
  ...Array.from({ length: 64 }, (_, index) => `100.${64 + index}`),
];

/** `taken` are networks (`10.1.0.0/16`) and addresses that the machine already uses. */
export function addressPlan(taken: readonly string[], seed: number): AddressPlan | undefined {
  const used = taken.flatMap((text) => parseNetwork(text) ?? []);
  for (let step = 0; step < CANDIDATES.length; step++) {
    const prefix = CANDIDATES[(seed + step) % CANDIDATES.length];
    if (prefix === undefined) continue;
    const range = `${prefix}.0.0/16`;
    const own = parseNetwork(range);
    if (own === undefined || used.some((other) => overlap(own, other))) continue;
    const address = (offset: number): string => `${prefix}.${offset >> 8}.${offset & 255}`;
    return {
      range,
      hostAddress: (index) => address(index * 2),
      sandboxAddress: (index) => address(index * 2 + 1),
    };
  }
  return undefined;
}

interface Network {
  readonly first: number;
  readonly last: number;
}

function parseNetwork(text: string): Network | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/u.exec(text);
  if (match === null) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, bits = 32] = match.slice(1).map((part) => Number(part ?? 32));
  // A default route covers everything and so says nothing about what is taken.
  if (bits === 0) return undefined;
  const size = 2 ** (32 - bits);
  const base = ((a * 256 + b) * 256 + c) * 256 + d;
  const first = base - (base % size);
  return { first, last: first + size - 1 };
}

function overlap(one: Network, other: Network): boolean {
  return one.first <= other.last && other.first <= one.last;
}
