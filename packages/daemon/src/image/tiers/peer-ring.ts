import { createHash } from 'node:crypto';

/**
 * Which nodes of the zone answer for a key, best first (rendezvous hashing: Thaler and Ravishankar, 1998). Every node
 * computes the same order from the same names, and a node that leaves moves its own keys only.
 */
export function homesOf(key: string, nodes: readonly string[]): string[] {
  return nodes
    .map((node) => ({ node, weight: createHash('sha256').update(`${node}\n${key}`).digest('hex') }))
    .toSorted((left, right) => (left.weight < right.weight ? 1 : -1))
    .map(({ node }) => node);
}
