import type { Clock } from '../../base/clock.ts';
import type { ArrivedChunk, ChunkRef } from '../chunks/chunk-ref.ts';
import { ArrivalQueue } from './arrival-queue.ts';
import type { ChunkTier, GetOptions } from './chunk-tier.ts';
import { homesOf } from './peer-ring.ts';
import { homeKey } from './spans.ts';
import { newTierCounters, type TierCounters } from './tier-counters.ts';

/** How chunks are asked of another node; `http-peers.ts` does it over the network. */
export interface PeerTransport {
  /** Chunks that the peer has or gets, as they come. Throws when the peer cannot be asked. */
  fetch(peer: string, wanted: readonly ChunkRef[], signal: AbortSignal): AsyncIterable<ArrivedChunk>;
}

export interface PeerTierOptions {
  readonly self: string;
  /** Live nodes of the zone, this one among them. */
  readonly nodes: () => readonly string[];
  readonly transport: PeerTransport;
  readonly clock: Clock;
  /** No second candidate is asked earlier. */
  readonly hedgeMsMin?: number;
}

/** Latencies that are remembered for the hedge. */
const LATENCIES_MAX = 128;
/** Until enough is known. */
const HEDGE_MS_DEFAULT = 500;
const HEDGE_MS_MIN = 50;
/** Of all requests, how many may be asked twice: a zone that is slow as a whole must not ask the registry for everything. */
const HEDGES_MAX = 0.1;
/** A peer that failed is not asked for so long, so that every chunk does not pay for its silence. */
const AVOID_MS = 5_000;
const PEER_TIMEOUT_MS = 15_000;

/**
 * The zone (the third tier): every part of a blob has a home node, which alone asks the registry for it, once for all
 * who ask. When the home does not answer as fast as 95 of 100 do, the second candidate is asked as well; when neither
 * has it, or this node is the home, the next tier is asked.
 */
export class PeerTier implements ChunkTier {
  readonly counters: TierCounters = newTierCounters();
  readonly #options: PeerTierOptions;
  readonly #latencies: number[] = [];
  readonly #avoidUntil = new Map<string, number>();
  #asked = 0;
  #hedged = 0;

  constructor(options: PeerTierOptions) {
    this.#options = options;
  }

  async *get(wanted: readonly ChunkRef[], { signal }: GetOptions): AsyncGenerator<ArrivedChunk> {
    const groups = this.#groups(wanted);
    const arrived = new ArrivalQueue<ArrivedChunk>();
    const ending = new AbortController();
    const stop = AbortSignal.any([signal, ending.signal]);
    void Promise.all([...groups.values()].map((group) => this.#ask(group, stop, arrived))).then(() =>
      arrived.end(),
    );
    const given = new Set<string>();
    try {
      for await (const chunk of arrived) {
        if (given.has(chunk.ref.digest)) continue;
        given.add(chunk.ref.digest);
        this.counters.chunks += 1;
        this.counters.bytes += chunk.bytes.length;
        this.counters.wireBytes += chunk.bytes.length;
        yield chunk;
      }
      this.counters.misses += wanted.length - given.size;
    } finally {
      ending.abort();
    }
  }

  /** What has the same first and second candidate is asked for at once. What is at home here is left to the next tier. */
  #groups(wanted: readonly ChunkRef[]): Map<string, Group> {
    const nodes = this.#liveNodes();
    const homes = new Map<string, readonly string[]>();
    const groups = new Map<string, Group>();
    for (const ref of wanted) {
      const key = homeKey(ref);
      const candidates = homes.get(key) ?? homesOf(key, nodes).slice(0, 2);
      homes.set(key, candidates);
      const [home, second] = candidates;
      if (home === undefined || home === this.#options.self) continue;
      const name = candidates.join('\n');
      const group = groups.get(name) ?? {
        home,
        second: second === this.#options.self ? undefined : second,
        chunks: [],
      };
      group.chunks.push(ref);
      groups.set(name, group);
    }
    return groups;
  }

  #liveNodes(): readonly string[] {
    const nowMs = this.#options.clock.monotonicMs();
    return this.#options.nodes().filter((node) => (this.#avoidUntil.get(node) ?? 0) <= nowMs);
  }

  /** Settles when all came, or both candidates are done, or the hedge's time is over and there is no second one. */
  async #ask(
    { home, second, chunks }: Group,
    signal: AbortSignal,
    arrived: ArrivalQueue<ArrivedChunk>,
  ): Promise<void> {
    const missing = new Set(chunks.map(({ digest }) => digest));
    const ending = new AbortController();
    const stop = AbortSignal.any([signal, ending.signal, AbortSignal.timeout(PEER_TIMEOUT_MS)]);
    const take = (chunk: ArrivedChunk): void => {
      if (missing.delete(chunk.ref.digest)) arrived.push(chunk);
      if (missing.size === 0) ending.abort();
    };
    const first = this.#fetch(home, chunks, stop, take);
    this.#asked += 1;
    const isDone = await Promise.race([
      first.then(() => true),
      wait(this.#hedgeMs(), stop).then(() => false),
    ]);
    if (missing.size === 0 || signal.aborted) return;
    if (!isDone) {
      if (this.#hedged >= this.#asked * HEDGES_MAX) {
        await first;
        if (missing.size === 0) return;
      } else {
        this.#hedged += 1;
      }
    }
    if (second !== undefined) {
      const left = chunks.filter(({ digest }) => missing.has(digest));
      await Promise.all([first, this.#fetch(second, left, stop, take)]);
    } else if (!isDone) {
      // The hedge is the registry itself: what the home still sends is too late.
      ending.abort();
    }
  }

  async #fetch(
    peer: string,
    wanted: readonly ChunkRef[],
    signal: AbortSignal,
    take: (chunk: ArrivedChunk) => void,
  ): Promise<void> {
    const { clock, transport } = this.#options;
    const startedMs = clock.monotonicMs();
    let isFirst = true;
    this.counters.requests += 1;
    try {
      for await (const chunk of transport.fetch(peer, wanted, signal)) {
        if (isFirst) this.#remember(clock.monotonicMs() - startedMs);
        isFirst = false;
        take(chunk);
      }
    } catch {
      if (signal.aborted) return;
      this.counters.failures += 1;
      this.#avoidUntil.set(peer, clock.monotonicMs() + AVOID_MS);
    }
  }

  #remember(ms: number): void {
    this.#latencies.push(ms);
    if (this.#latencies.length > LATENCIES_MAX) this.#latencies.shift();
  }

  #hedgeMs(): number {
    const { hedgeMsMin = HEDGE_MS_MIN } = this.#options;
    if (this.#latencies.length < LATENCIES_MAX / 8) return Math.max(hedgeMsMin, HEDGE_MS_DEFAULT);
    const sorted = this.#latencies.toSorted((left, right) => left - right);
    return Math.max(hedgeMsMin, sorted[Math.floor(sorted.length * 0.95)] ?? HEDGE_MS_DEFAULT);
  }
}

interface Group {
  readonly home: string;
  readonly second: string | undefined;
  readonly chunks: ChunkRef[];
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
