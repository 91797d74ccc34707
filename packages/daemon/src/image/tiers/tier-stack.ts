import { hash } from 'node:crypto';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { ArrivedChunk, ChunkRef, PlacedChunk } from '../chunks/chunk-ref.ts';
import type { ChunkTier, GetOptions, Urgency } from './chunk-tier.ts';
import type { FetchSlots } from './fetch-slots.ts';
import type { SegmentStore } from './segment-store.ts';
import type { TierCounters, TierName } from './tier-counters.ts';

export interface TierStackOptions {
  /** Where chunks are kept; it is asked first. */
  readonly disk: SegmentStore;
  /** From near to far. */
  readonly tiers: readonly NamedTier[];
  readonly slots: FetchSlots;
  readonly clock: Clock;
  /** How long a demanded chunk is asked for before its reader gets an error. */
  readonly giveUpMs?: number;
}

export interface NamedTier {
  readonly name: TierName;
  readonly tier: ChunkTier;
  /** Where a chunk that is wrong is counted. */
  readonly counters: TierCounters | undefined;
}

/** A chunk that is right, and which tier had it. */
export interface Arrival {
  readonly ref: ChunkRef;
  readonly bytes: Buffer;
  readonly from: TierName;
}

/** The same, where it may have gone to the disk alone. */
export type ArrivalAhead = Arrival | (Omit<Arrival, 'bytes'> & { readonly bytes: undefined });

type How = Omit<GetOptions, 'signal'>;

export const GIVE_UP_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const PAUSE_MS_MAX = 2_000;
/** What was kept and is gone from the disk before its reader came is fetched again so often. */
const FETCHES_MAX = 3;
/** What came is kept as soon as it is so much: the threads that answer the kernel then have it themselves. */
const KEEP_BYTES = 1024 * 1024;

/** One chunk on its way: whoever else wants it waits for the same. */
interface Flight {
  readonly ref: ChunkRef;
  readonly arrived: Promise<ArrivalAhead>;
  readonly resolve: (arrival: ArrivalAhead) => void;
  readonly reject: (error: unknown) => void;
  /** Somebody waits for it; otherwise it may still stand in the queue of the prefetches. */
  isDemanded: boolean;
  isRunning: boolean;
}

/**
 * Chunks from the nearest tier that has them. Each is fetched once, however many want it at the same time; what arrives
 * is compared with its digest before anybody gets it, and kept on disk. What is wrong counts against its tier and is
 * asked for further away.
 */
export class TierStack implements ChunkTier {
  readonly #options: TierStackOptions;
  readonly #flights = new Map<string, Flight>();
  readonly #ending = new AbortController();

  constructor(options: TierStackOptions) {
    this.#options = options;
  }

  /** Contract as of every tier, except that what it gives is right. */
  async *get(wanted: readonly ChunkRef[], { urgency, gapBytesMax }: How): AsyncGenerator<ArrivedChunk> {
    // Bytes are what is asked for: nothing is kept on the way.
    const waits = this.#join(wanted, { urgency, gapBytesMax });
    let failure: unknown;
    for (const flight of waits) {
      let arrival: Arrival | undefined;
      try {
        arrival = await this.#whole(flight);
      } catch (error) {
        failure = error;
      }
      if (arrival !== undefined) yield arrival;
    }
    if (failure !== undefined) throw failure;
  }

  /** The chunk itself, demanded. */
  require(ref: ChunkRef): Promise<Arrival> {
    return this.#whole(this.#demand(ref));
  }

  /**
   * Has these fetched and kept, as far as they are not; gives those that came now. What cannot be had is left out. With
   * urgency `demand` when somebody waits for one of them.
   */
  async prefetch(
    wanted: readonly ChunkRef[],
    gapBytesMax?: number,
    urgency: Urgency = 'prefetch',
  ): Promise<readonly ArrivalAhead[]> {
    const missing = wanted.filter(({ digest }) => !this.#options.disk.has(digest));
    const flights = this.#join(missing, { urgency, gapBytesMax, keeper: this.#options.disk });
    const settled = await Promise.allSettled(flights.map(({ arrived }) => arrived));
    return settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  }

  close(): void {
    this.#ending.abort();
    for (const flight of this.#flights.values()) flight.reject(givenUp(flight.ref, undefined));
  }

  #demand(ref: ChunkRef): Flight {
    const [flight] = this.#join([ref], { urgency: 'demand', keeper: this.#options.disk });
    if (flight === undefined) throw new Error('a wanted chunk has no flight');
    return flight;
  }

  /** Whoever came to a flight that only went to the disk reads it there. */
  async #whole(first: Flight): Promise<Arrival> {
    let flight = first;
    for (let fetches = 1; ; fetches += 1) {
      const arrival = await flight.arrived;
      const { ref, from } = arrival;
      if (arrival.bytes !== undefined) return arrival;
      const bytes = await this.#options.disk.bytesOf(ref);
      if (bytes !== undefined) return { ref, from, bytes };
      if (fetches >= FETCHES_MAX) throw givenUp(ref, undefined);
      flight = this.#demand(ref);
    }
  }

  #join(wanted: readonly ChunkRef[], how: How): Flight[] {
    const { urgency } = how;
    const all: Flight[] = [];
    const fresh: Flight[] = [];
    for (const ref of wanted) {
      let flight = this.#flights.get(ref.digest);
      if (flight === undefined) {
        flight = newFlight(ref);
        this.#flights.set(ref.digest, flight);
        fresh.push(flight);
      } else if (urgency === 'demand' && !flight.isDemanded && !flight.isRunning) {
        // It stands in the queue of the prefetches: whoever waits for it does not wait for those.
        fresh.push(flight);
      }
      if (urgency === 'demand') flight.isDemanded = true;
      all.push(flight);
    }
    if (fresh.length > 0) void this.#fill(fresh, how);
    return all;
  }

  async #fill(flights: readonly Flight[], how: How): Promise<void> {
    const { slots, clock, giveUpMs = GIVE_UP_MS } = this.#options;
    const deadlineMs = clock.monotonicMs() + giveUpMs;
    const release = await slots.acquire(how.urgency);
    const mine = new Map<string, Flight>();
    for (const flight of flights) {
      // Another filling took it while this one waited.
      if (flight.isRunning || this.#flights.get(flight.ref.digest) !== flight) continue;
      flight.isRunning = true;
      mine.set(flight.ref.digest, flight);
    }
    let failure: unknown;
    try {
      for (let round = 0; mine.size > 0; round += 1) {
        failure = (await this.#round(mine, how)) ?? failure;
        const isWaitedFor = [...mine.values()].some((flight) => flight.isDemanded);
        if (mine.size === 0 || !isWaitedFor || this.#ending.signal.aborted) break;
        if (clock.monotonicMs() >= deadlineMs) break;
        await pause(Math.min(PAUSE_MS_MAX, FIRST_PAUSE_MS * 2 ** round), this.#ending.signal);
      }
    } catch (error) {
      failure = error;
    } finally {
      release();
      for (const flight of mine.values()) {
        this.#flights.delete(flight.ref.digest);
        flight.reject(givenUp(flight.ref, failure));
      }
    }
  }

  /** Asks each tier for what the nearer ones did not have; gives why the last one failed. */
  async #round(missing: Map<string, Flight>, how: How): Promise<unknown> {
    const { disk, tiers } = this.#options;
    let failure: unknown;
    const keeping: Promise<void>[] = [];
    for (const { name, tier, counters } of [diskTier(disk), ...tiers]) {
      if (missing.size === 0) break;
      const wanted = [...missing.values()].map(({ ref }) => ref);
      let arrivals: Arrival[] = [];
      let arrivedBytes = 0;
      try {
        for await (const chunk of tier.get(wanted, { ...how, signal: this.#ending.signal })) {
          const { ref, bytes } = chunk;
          const flight = missing.get(ref.digest);
          if (flight === undefined) continue;
          if (tier !== disk && !isRight(chunk)) {
            if (counters !== undefined) counters.corrupt += 1;
            continue;
          }
          missing.delete(ref.digest);
          if (tier === disk || chunk.isKept === true) this.#flights.delete(ref.digest);
          flight.resolve({ ref, bytes, from: name });
          if (tier === disk || bytes === undefined || chunk.isKept === true) continue;
          arrivals.push({ ref, bytes, from: name });
          arrivedBytes += bytes.length;
          if (arrivedBytes < KEEP_BYTES) continue;
          keeping.push(this.#keep(arrivals));
          arrivals = [];
          arrivedBytes = 0;
        }
      } catch (error) {
        failure = error;
      }
      if (arrivals.length > 0) keeping.push(this.#keep(arrivals));
    }
    // The slot is held until what came is kept: that bounds what is in memory.
    await Promise.all(keeping);
    return failure;
  }

  /** Until they are on disk, whoever wants them finds them in their flights. */
  async #keep(arrivals: readonly Arrival[]): Promise<void> {
    await this.#options.disk.put(arrivals.map(({ ref, bytes }) => ({ digest: ref.digest, bytes })));
    for (const { ref } of arrivals) this.#flights.delete(ref.digest);
  }
}

function diskTier(disk: SegmentStore): NamedTier {
  return { name: 'disk', tier: disk, counters: undefined };
}

function newFlight(ref: ChunkRef): Flight {
  const { promise, resolve, reject } = Promise.withResolvers<ArrivalAhead>();
  promise.catch(() => undefined);
  return { ref, arrived: promise, resolve, reject, isDemanded: false, isRunning: false };
}

function isRight({ ref, bytes, isCompared }: ArrivedChunk | PlacedChunk): boolean {
  if (isCompared === true || bytes === undefined) return isCompared === true;
  return bytes.length === ref.size && hash('sha256', bytes, 'hex') === ref.digest;
}

function givenUp(ref: ChunkRef, cause: unknown): ThawError {
  return new ThawError(
    'REGISTRY_FAILED',
    `a piece of an image (${ref.digest.slice(0, 12)}) could not be had from anywhere`,
    {
      cause,
    },
  );
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
