import { hash, randomBytes } from 'node:crypto';
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { read, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import { diskProblem } from '../../base/disk-problem.ts';
import type { ArrivedChunk, ChunkRef } from '../chunks/chunk-ref.ts';
import type { ChunkKeeper, ChunkTier, Reservation } from './chunk-tier.ts';
import { encodeRecord, readIndex } from './segment-index.ts';
import { PLACE_UNIT, placeOf, SEGMENT_BYTES_MAX, SLOTS, type SegmentPlaces } from './segment-places.ts';
import { writeRuns } from './segment-runs.ts';
import { newTierCounters, type TierCounters } from './tier-counters.ts';

/** A quarter of a small quota, so that there is always something to evict. */
const SEGMENTS_MIN = 4;
export const QUOTA_BYTES_MIN = SEGMENTS_MIN * 1024 * 1024;
/** After a failed write nothing is written for so long: the disk is full, and trying costs every chunk's time. */
const PAUSE_AFTER_FAILURE_MS = 10_000;
const READER_WAIT_MS = 2;
const readAsync = promisify(read);
const writeAsync = promisify(write);

export interface SegmentStoreOptions {
  readonly directory: string;
  readonly quotaBytes: number;
  readonly places: SegmentPlaces;
  readonly clock: Clock;
  /** The chunk can be read at this place from now on. */
  readonly onPlaced: (digest: string, place: number) => void;
  /** These can no more; told before anything is closed. */
  readonly onGone: (digests: readonly string[]) => void;
  readonly onProblem: (text: string, cause: unknown) => void;
}

interface Segment {
  readonly slot: number;
  readonly name: string;
  readonly descriptor: number;
  readonly digests: Set<string>;
  bytes: number;
}

/** A chunk to be kept, by its digest. */
export interface KeptChunk {
  readonly digest: string;
  readonly bytes: Buffer;
}

/** What is written to one segment at once. */
interface Batch {
  readonly segment: Segment;
  readonly index: number;
  readonly chunks: (KeptChunk & { readonly offset: number })[];
}

/** Where bytes go; `index` is the descriptor of the segment's records. */
interface Place {
  readonly segment: Segment;
  readonly index: number;
  readonly offset: number;
}

/** A chunk that was written. */
interface WrittenChunk {
  readonly digest: string;
  readonly offset: number;
  readonly size: number;
}

interface Stored {
  readonly segment: Segment;
  readonly offset: number;
  readonly size: number;
  /** Written or compared by this process: others are compared at their first use. */
  isVerified: boolean;
}

/**
 * Chunks on disk (the second tier): plain bytes in files that are only ever appended to, with an index in memory. Over
 * the quota whole segments go, the one first that was not read since the hand of the clock passed it. Survives a restart;
 * an entry that a crash tore is found by its digest, dropped and fetched again.
 */
export class SegmentStore implements ChunkTier, ChunkKeeper {
  readonly counters: TierCounters = newTierCounters();
  readonly #options: SegmentStoreOptions;
  readonly #segmentBytes: number;
  readonly #index = new Map<string, Stored>();
  readonly #segments = new Map<number, Segment>();
  readonly #closing = new Set<Promise<void>>();
  #current: { readonly segment: Segment; readonly index: number } | undefined;
  #hand = 0;
  #pausedUntilMs = 0;
  #problem: string | undefined;
  #evicted = 0;

  /** Throws STORE_FAILED when the directory cannot be used, INVALID_ARGUMENT for a quota that holds nothing. */
  constructor(options: SegmentStoreOptions) {
    if (options.quotaBytes < QUOTA_BYTES_MIN)
      throw new ThawError('INVALID_ARGUMENT', `the image cache needs ${QUOTA_BYTES_MIN} bytes at least`);
    this.#options = options;
    const share = Math.floor(options.quotaBytes / SEGMENTS_MIN / PLACE_UNIT) * PLACE_UNIT;
    this.#segmentBytes = Math.min(SEGMENT_BYTES_MAX, share);
    try {
      mkdirSync(options.directory, { recursive: true, mode: 0o700 });
      this.#load();
    } catch (cause) {
      throw new ThawError('STORE_FAILED', `the image cache ${options.directory} cannot be used`, { cause });
    }
  }

  /** Where a chunk is that needs no comparing any more. */
  placeOf(digest: string): number | undefined {
    const stored = this.#index.get(digest);
    return stored?.isVerified === true ? placeOf(stored.segment.slot, stored.offset) : undefined;
  }

  has(digest: string): boolean {
    return this.#index.has(digest);
  }

  async *get(wanted: readonly ChunkRef[]): AsyncGenerator<ArrivedChunk> {
    for (const ref of wanted) {
      const stored = this.#index.get(ref.digest);
      if (stored !== undefined) this.counters.requests += 1;
      const bytes = stored === undefined ? undefined : await this.#read(ref, stored);
      if (bytes === undefined) {
        this.counters.misses += 1;
        continue;
      }
      this.counters.chunks += 1;
      this.counters.bytes += bytes.length;
      this.counters.wireBytes += bytes.length;
      yield { ref, bytes };
    }
  }

  /**
   * Keeps chunks whose digests were compared; those that come together are written together. A disk that takes no more is
   * a problem that is told, never a failure.
   */
  async put(chunks: readonly KeptChunk[]): Promise<void> {
    if (this.#options.clock.monotonicMs() < this.#pausedUntilMs) return;
    const { readers } = this.#options.places;
    const batches: Batch[] = [];
    const taken = new Set<string>();
    try {
      for (const { digest, bytes } of chunks) {
        if (this.#index.has(digest) || taken.has(digest)) continue;
        const place = this.#place(bytes.length);
        if (place === undefined) continue;
        taken.add(digest);
        const { segment, index, offset } = place;
        let batch = batches.at(-1);
        if (batch?.segment !== segment) {
          // From here on nobody takes the segment away.
          Atomics.add(readers, segment.slot, 1);
          batch = { segment, index, chunks: [] };
          batches.push(batch);
        }
        batch.chunks.push({ digest, bytes, offset });
      }
      for (const batch of batches) await this.#write(batch);
      if (batches.length > 0) this.#problem = undefined;
    } catch (error) {
      this.#pause(error);
    } finally {
      for (const { segment } of batches) Atomics.sub(readers, segment.slot, 1);
    }
  }

  /** All of them beside each other, in one segment. */
  reserve(chunks: readonly Pick<ChunkRef, 'digest' | 'size'>[]): Reservation | undefined {
    if (this.#options.clock.monotonicMs() < this.#pausedUntilMs) return undefined;
    const offsets: number[] = [];
    let bytes = 0;
    for (const { digest, size } of chunks) {
      const isHere = this.#index.has(digest);
      offsets.push(isHere ? -1 : bytes);
      if (!isHere) bytes = Math.ceil((bytes + size) / PLACE_UNIT) * PLACE_UNIT;
    }
    if (bytes === 0) return undefined;
    let place: Place | undefined;
    try {
      place = this.#place(bytes);
    } catch (error) {
      this.#pause(error);
    }
    if (place === undefined) return undefined;
    const { segment, index, offset: start } = place;
    const { readers } = this.#options.places;
    // From here on nobody takes the segment away.
    Atomics.add(readers, segment.slot, 1);
    const places = offsets.map((offset) => (offset < 0 ? -1 : start + offset));
    return {
      descriptor: segment.descriptor,
      offsets: places,
      keep: async (isRight) => {
        const written = chunks.flatMap(({ digest, size }, at) => {
          const offset = places[at] ?? -1;
          return isRight[at] === true && offset >= 0 ? [{ digest, size, offset }] : [];
        });
        try {
          await this.#record(segment, index, written);
          this.#problem = undefined;
        } catch (error) {
          this.#pause(error);
        } finally {
          Atomics.sub(readers, segment.slot, 1);
        }
      },
      abandon: (failure) => {
        Atomics.sub(readers, segment.slot, 1);
        if (failure !== undefined) this.#pause(failure);
      },
    };
  }

  /** The plain bytes of a chunk that is here, uncounted: whoever had it fetched asks for them. */
  async bytesOf(ref: ChunkRef): Promise<Buffer | undefined> {
    const stored = this.#index.get(ref.digest);
    return stored === undefined ? undefined : await this.#read(ref, stored);
  }

  /** A reader found that a chunk is not what it should be. */
  drop(digest: string): void {
    const stored = this.#index.get(digest);
    if (stored === undefined) return;
    this.#index.delete(digest);
    stored.segment.digests.delete(digest);
    this.#options.onGone([digest]);
  }

  usage(): {
    readonly bytes: number;
    readonly chunks: number;
    readonly segments: number;
    readonly quotaBytes: number;
    readonly evictedSegments: number;
    readonly problem: string | undefined;
  } {
    let bytes = 0;
    for (const segment of this.#segments.values()) bytes += segment.bytes;
    const { quotaBytes } = this.#options;
    const [chunks, segments] = [this.#index.size, this.#segments.size];
    return { bytes, chunks, segments, quotaBytes, evictedSegments: this.#evicted, problem: this.#problem };
  }

  async clear(): Promise<void> {
    for (const segment of this.#segments.values()) this.#evict(segment);
    await Promise.all(this.#closing);
  }

  async close(): Promise<void> {
    this.#closeCurrent();
    for (const segment of this.#segments.values()) this.#retire(segment, false);
    this.#segments.clear();
    this.#index.clear();
    await Promise.all(this.#closing);
  }

  #load(): void {
    const { directory } = this.#options;
    const names = readdirSync(directory).filter((name) => name.endsWith('.seg'));
    for (const file of names.toSorted((left, right) => (left < right ? -1 : 1))) {
      const name = file.slice(0, -'.seg'.length);
      const slot = this.#freeSlot();
      if (slot === undefined) break;
      const segment = this.#open(name, slot, 'r');
      segment.bytes = fstatSync(segment.descriptor).size;
      for (const record of readIndex(join(directory, `${name}.idx`), segment.bytes))
        if (!this.#index.has(record.digest)) this.#remember(record, segment, false);
    }
    this.#makeRoom(0);
  }

  async #read(ref: ChunkRef, stored: Stored): Promise<Buffer | undefined> {
    const { readers, used } = this.#options.places;
    const { slot, descriptor } = stored.segment;
    Atomics.add(readers, slot, 1);
    Atomics.store(used, slot, 1);
    try {
      const bytes = Buffer.allocUnsafe(stored.size);
      const { bytesRead } = await readAsync(descriptor, bytes, 0, stored.size, stored.offset);
      const isRight = bytesRead === ref.size && (stored.isVerified || sha256(bytes) === ref.digest);
      if (!isRight) {
        this.counters.corrupt += 1;
        this.drop(ref.digest);
        return undefined;
      }
      if (!stored.isVerified && this.#index.get(ref.digest) === stored) {
        stored.isVerified = true;
        this.#options.onPlaced(ref.digest, placeOf(slot, stored.offset));
      }
      return bytes;
    } catch (error) {
      this.counters.failures += 1;
      this.#options.onProblem('the image cache could not be read', error);
      this.drop(ref.digest);
      return undefined;
    } finally {
      Atomics.sub(readers, slot, 1);
    }
  }

  async #write({ segment, index, chunks }: Batch): Promise<void> {
    await writeRuns(segment.descriptor, chunks);
    const written = chunks.map(({ digest, bytes, offset }) => ({ digest, offset, size: bytes.length }));
    await this.#record(segment, index, written);
  }

  /** After the bytes the records that name them: what a crash tears is found by its digest. */
  async #record(segment: Segment, index: number, chunks: readonly WrittenChunk[]): Promise<void> {
    if (chunks.length === 0) return;
    await writeAsync(index, Buffer.concat(chunks.map((chunk) => encodeRecord(chunk))));
    if (this.#segments.get(segment.slot) !== segment) return;
    for (const chunk of chunks) {
      if (this.#index.has(chunk.digest)) continue;
      this.#remember(chunk, segment, true);
      this.#options.onPlaced(chunk.digest, placeOf(segment.slot, chunk.offset));
    }
  }

  #remember({ digest, offset, size }: WrittenChunk, segment: Segment, isVerified: boolean): void {
    this.#index.set(digest, { segment, offset, size, isVerified });
    segment.digests.add(digest);
  }

  /** Room for so many bytes; their offset is given once, whatever becomes of the write. */
  #place(size: number): Place | undefined {
    if (size > this.#segmentBytes) return undefined;
    if (this.#current === undefined || this.#current.segment.bytes + size > this.#segmentBytes) {
      this.#closeCurrent();
      this.#makeRoom(this.#segmentBytes);
      const slot = this.#freeSlot();
      if (slot === undefined) return undefined;
      const name = `${String(this.#options.clock.now()).padStart(15, '0')}-${randomBytes(4).toString('hex')}`;
      const index = openSync(join(this.#options.directory, `${name}.idx`), 'wx', 0o600);
      this.#current = { segment: this.#open(name, slot, 'wx+'), index };
    }
    const { segment, index } = this.#current;
    const offset = segment.bytes;
    segment.bytes = Math.ceil((offset + size) / PLACE_UNIT) * PLACE_UNIT;
    return { segment, index, offset };
  }

  #open(name: string, slot: number, flags: string): Segment {
    const descriptor = openSync(join(this.#options.directory, `${name}.seg`), flags, 0o600);
    const segment: Segment = { slot, name, descriptor, digests: new Set(), bytes: 0 };
    this.#segments.set(slot, segment);
    Atomics.store(this.#options.places.descriptors, slot, descriptor);
    // Counts as used when it is read: otherwise all new ones would be equal, and a hot one no better.
    Atomics.store(this.#options.places.used, slot, 0);
    return segment;
  }

  #freeSlot(): number | undefined {
    for (let slot = 1; slot < SLOTS; slot += 1) {
      if (!this.#segments.has(slot) && Atomics.load(this.#options.places.descriptors, slot) === 0)
        return slot;
    }
    return undefined;
  }

  #makeRoom(bytes: number): void {
    let total = bytes;
    for (const segment of this.#segments.values()) total += segment.bytes;
    while (total > this.#options.quotaBytes) {
      const victim = this.#victim();
      if (victim === undefined) return;
      total -= victim.bytes;
      this.#evict(victim);
    }
  }

  /** The clock: a segment that was read since the last turn is passed once. */
  #victim(): Segment | undefined {
    const { used } = this.#options.places;
    for (let step = 0; step < 2 * SLOTS; step += 1) {
      this.#hand = (this.#hand + 1) % SLOTS;
      const segment = this.#segments.get(this.#hand);
      if (segment === undefined || segment === this.#current?.segment) continue;
      if (Atomics.exchange(used, segment.slot, 0) === 0) return segment;
    }
    return undefined;
  }

  #evict(segment: Segment): void {
    if (segment === this.#current?.segment) this.#closeCurrent();
    this.#evicted += 1;
    for (const digest of segment.digests) this.#index.delete(digest);
    this.#segments.delete(segment.slot);
    this.#options.onGone([...segment.digests]);
    for (const suffix of ['seg', 'idx'])
      rmSync(join(this.#options.directory, `${segment.name}.${suffix}`), { force: true });
    this.#retire(segment, true);
  }

  /** The descriptor stays until nobody reads with it. */
  #retire({ slot, descriptor }: Segment, isGone: boolean): void {
    const { readers, descriptors } = this.#options.places;
    const closing = (async () => {
      while (Atomics.load(readers, slot) > 0) {
        await new Promise((resolve) => {
          setTimeout(resolve, READER_WAIT_MS);
        });
      }
      closeSync(descriptor);
      if (isGone) Atomics.store(descriptors, slot, 0);
    })();
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  #closeCurrent(): void {
    if (this.#current === undefined) return;
    const { index, segment } = this.#current;
    this.#current = undefined;
    // Writes to it may be under way: they are counted as readers of its segment.
    const { readers } = this.#options.places;
    const closing = (async () => {
      while (Atomics.load(readers, segment.slot) > 0) {
        await new Promise((resolve) => {
          setTimeout(resolve, READER_WAIT_MS);
        });
      }
      closeSync(index);
    })();
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  #pause(error: unknown): void {
    this.counters.failures += 1;
    const text = diskProblem(error) ?? 'the disk of the image cache cannot be written';
    this.#pausedUntilMs = this.#options.clock.monotonicMs() + PAUSE_AFTER_FAILURE_MS;
    if (this.#problem !== text) this.#options.onProblem(`nothing is kept in the image cache: ${text}`, error);
    this.#problem = text;
  }
}

function sha256(bytes: Buffer): string {
  return hash('sha256', bytes, 'hex');
}
