import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as fc from 'fast-check';
import { HttpPeers, servePeers, type PeerSource } from './http-peers.ts';
import { homesOf } from './peer-ring.ts';
import type { PeerTransport } from './peer-tier.ts';
import { decodeAnswer, encodeHead } from './peer-wire.ts';
import { sampleBlob, type SampleBlob } from './sample-blobs.ts';
import { openSampleNode, type SampleNode } from './sample-node.ts';

/** Longer than any test: who wants to see no hedge, sees none, however slow the machine. */
const NEVER_MS = 100_000;

/** Nodes in one process that ask each other by calling each other. */
async function zone(
  t: TestContext,
  count: number,
  blob: SampleBlob,
  slow?: { readonly name: string; readonly until: Promise<void> },
): Promise<{ nodes: SampleNode[]; dead: Set<string> }> {
  const directory = await temporaryDirectory(t);
  const names = Array.from({ length: count }, (_, index) => `node-${index}`);
  const byName = new Map<string, SampleNode>();
  const dead = new Set<string>();
  const transport: PeerTransport = {
    async *fetch(peer, wanted) {
      if (dead.has(peer)) throw new ThawError('REGISTRY_FAILED', 'the peer is dead');
      if (slow?.name === peer) await slow.until;
      yield* byName.get(peer)?.home.get(wanted, { urgency: 'demand' }) ?? [];
    },
  };
  for (const self of names) {
    const node = openSampleNode(join(directory, self), () => blob, {
      self,
      nodes: () => names,
      transport,
      ...(slow === undefined ? { hedgeMsMin: NEVER_MS } : {}),
    });
    afterTest(t, () => node.close());
    byName.set(self, node);
  }
  return { nodes: [...byName.values()], dead };
}

async function readAll(node: SampleNode, blob: SampleBlob): Promise<void> {
  let count = 0;
  for await (const { ref, bytes } of node.stack.get(blob.chunks, { urgency: 'demand' })) {
    assert.ok(blob.plain.get(ref.digest)?.equals(bytes));
    count += 1;
  }
  assert.equal(count, blob.chunks.length);
}

test('a zone fetches each chunk from the registry once, however many nodes start at once', async (t) => {
  const blob = sampleBlob(60, () => 200_000);
  const { nodes } = await zone(t, 8, blob);
  await Promise.all(nodes.map((node) => readAll(node, blob)));
  assert.equal(blob.requestedBytes, blob.bytes.length);
});

test('a home that is slow is not waited for: the next candidate is asked', async (t) => {
  const blob = sampleBlob(40, () => 200_000);
  const slow = Promise.withResolvers<void>();
  const { nodes } = await zone(t, 4, blob, { name: 'node-1', until: slow.promise });
  await readAll(nodes[0] ?? assert.fail(), blob);
  slow.resolve();
});

test('a registry that is down is not missed where the zone is warm', async (t) => {
  const blob = sampleBlob(30, () => 200_000);
  const { nodes } = await zone(t, 4, blob);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  await readAll(first, blob);
  blob.failure = new ThawError('REGISTRY_FAILED', 'down');
  await readAll(second, blob);
});

test('a dead home is passed over: the second candidate or the registry gives its chunks', async (t) => {
  const blob = sampleBlob(60, () => 200_000);
  const { nodes, dead } = await zone(t, 5, blob);
  dead.add('node-1').add('node-2');
  await readAll(nodes[0] ?? assert.fail(), blob);
  assert.ok((nodes[0]?.peers?.counters.failures ?? 0) > 0);
});

test('every node computes the same homes, and a node that goes moves its own keys only', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 2, maxLength: 20 }),
      fc.string(),
      (nodes, key) => {
        const homes = homesOf(key, nodes);
        assert.deepEqual(homes, homesOf(key, nodes.toReversed()));
        const [first, second] = homes;
        const without = nodes.filter((node) => node !== homes.at(-1));
        assert.equal(homesOf(key, without)[0], nodes.length > 2 || homes.at(-1) !== first ? first : second);
      },
    ),
  );
});

test('two nodes over HTTP: one asks the registry, both have it; strangers get nothing', async (t) => {
  const blob = sampleBlob(50, (index) => (index === 7 ? 3_000_000 : 20_000 + index));
  const directory = await temporaryDirectory(t);
  const peers = new HttpPeers('a secret');
  afterTest(t, () => peers.close());
  const names: string[] = [];
  const made: SampleNode[] = [];
  for (const name of ['one', 'two']) {
    const late: { node?: SampleNode } = {};
    const tier: PeerSource = {
      get: (wanted, options) =>
        (late.node ?? assert.fail('nothing is asked before all listen')).home.get(wanted, options),
    };
    const server = await servePeers(tier, 'a secret', '127.0.0.1', 0);
    afterTest(t, () => server.close());
    const { url: self } = server;
    const zoneOf = { self, nodes: () => names, transport: peers, hedgeMsMin: NEVER_MS };
    const node = openSampleNode(join(directory, name), () => blob, zoneOf);
    afterTest(t, () => node.close());
    late.node = node;
    names.push(self);
    made.push(node);
  }
  await Promise.all(made.map((node) => readAll(node, blob)));
  assert.equal(blob.requestedBytes, blob.bytes.length);
  const asked = made.reduce((sum, node) => sum + (node.peers?.counters.chunks ?? 0), 0);
  assert.equal(asked, blob.chunks.length);

  const url = names[0] ?? '';
  const ask = async (headers: Record<string, string>, body: string): Promise<number> =>
    (await fetch(`${url}/chunks`, { method: 'POST', headers, body })).status;
  assert.equal(await ask({}, '{}'), 403);
  assert.equal(await ask({ authorization: 'Bearer wrong' }, '{}'), 403);
  assert.equal(await ask({ authorization: 'Bearer a secret' }, '{"chunks":[{"digest":"../x"}]}'), 400);
  assert.equal((await fetch(`${url}/etc/passwd`)).status, 404);
});

test('an answer is read however it is cut, and broken off where it tells what nobody asked for', async () => {
  const blob = sampleBlob(5, (index) => 10 + index * 1000);
  const answer = Buffer.concat(
    blob.chunks.flatMap((ref) => {
      const bytes = blob.plain.get(ref.digest) ?? Buffer.alloc(0);
      return [encodeHead({ ref, bytes }), bytes];
    }),
  );
  const read = async (cut: number, wanted = blob.chunks): Promise<string[]> => {
    async function* parts(): AsyncGenerator<Buffer> {
      for (let at = 0; at < answer.length; at += cut)
        yield await Promise.resolve(answer.subarray(at, at + cut));
    }
    const found: string[] = [];
    for await (const { ref, bytes } of decodeAnswer(parts(), wanted)) {
      assert.ok(blob.plain.get(ref.digest)?.equals(bytes));
      found.push(ref.digest);
    }
    return found;
  };
  for (const cut of [1, 7, 36, 1000, 1_000_000])
    assert.deepEqual(
      await read(cut),
      blob.chunks.map(({ digest }) => digest),
    );
  await assert.rejects(read(100, blob.chunks.slice(1)), /nobody asked for/u);
});
