import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as z from 'zod';
import type { Records } from '../../store/records.ts';
import { mergeRecordings, RECORDINGS_MAX } from './merge-recordings.ts';
import { decodeTouches, encodeTouches, type Recording } from './recording.ts';
import { TRACE_PACK, type IndexedPack, type TracePack } from './trace-pack.ts';

const PREFIX = 'image-trace/';
/** Beside its trace, since it is larger than all of that, and whoever lists traces does not want it. */
const INDEX_PREFIX = 'image-pack-index/';
/** Each update of a function is a version with a trace of its own. */
const TRACES_PER_FUNCTION_MAX = 16;
const STORED = z.object({
  versionKey: z.string(),
  image: z.string(),
  isWanted: z.boolean(),
  recordings: z.array(z.object({ atMs: z.number(), windowMs: z.number(), touches: z.string() })),
  pack: TRACE_PACK.optional(),
});
type Stored = z.output<typeof STORED>;
const STORED_INDEX = z.object({ blob: z.string(), index: z.string() });
type StoredIndex = z.output<typeof STORED_INDEX>;

/** What one function version reads first of its image. */
export interface Trace {
  readonly versionKey: string;
  readonly image: string;
  /** The next start is recorded. */
  readonly isWanted: boolean;
  readonly recordings: readonly Recording[];
  /** Of a recording, not always the newest. */
  readonly pack: TracePack | undefined;
}

/** Traces by function version, kept with the platform's records. One of another image than the version's is none. */
export class TraceStore {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  get(versionKey: string, image: string): Trace | undefined {
    const stored = this.#stored(versionKey);
    return stored === undefined || stored.image !== image ? undefined : traceOf(stored);
  }

  /** The newest trace of another version of the same function on the same image: better than none. */
  similar(versionKey: string, image: string): Trace | undefined {
    const others = this.list(versionKey.split('@')[0]).filter(
      (trace) => trace.image === image && trace.recordings.length > 0,
    );
    return others.toSorted((left, right) => atMsOf(right) - atMsOf(left))[0];
  }

  /** Throws IMAGE_NOT_FOUND when there is none. */
  require(versionKey: string): Trace {
    const stored = this.#stored(versionKey);
    if (stored === undefined)
      throw new ThawError('IMAGE_NOT_FOUND', `nothing was recorded of '${versionKey}'`);
    return traceOf(stored);
  }

  /** Of all versions, or of those of one function. */
  list(functionName?: string): Trace[] {
    const within = functionName === undefined ? '' : encodeURIComponent(`${functionName}@`);
    return this.#records.list(PREFIX + within).map(({ value }) => traceOf(STORED.parse(value)));
  }

  add(versionKey: string, image: string, recording: Recording): void {
    const before = this.#stored(versionKey);
    const earlier = before?.image === image ? before.recordings : [];
    const { atMs, windowMs, chunks, ms } = recording;
    const recordings = [...earlier, { atMs, windowMs, touches: encodeTouches(chunks, ms) }].slice(
      -RECORDINGS_MAX,
    );
    this.#put({ versionKey, image, isWanted: false, recordings, pack: packOf(before, image) });
  }

  /** Unless the trace was forgotten meanwhile. */
  setPack(versionKey: string, image: string, { blob, size, imageBytes, index }: IndexedPack): void {
    const before = this.#stored(versionKey);
    if (before?.image !== image) return;
    const pack: TracePack = { blob, size, imageBytes };
    const stored: StoredIndex = { blob, index: Buffer.from(index).toString('base64') };
    this.#records.batch([
      { kind: 'put', key: keyOf(versionKey), value: { ...before, pack } satisfies Stored },
      { kind: 'put', key: indexKeyOf(versionKey), value: stored },
    ]);
  }

  /** The pack of a trace with its index. */
  indexedPack({ versionKey, pack }: Trace): IndexedPack | undefined {
    const record = pack === undefined ? undefined : this.#records.get(indexKeyOf(versionKey));
    if (pack === undefined || record === undefined) return undefined;
    const { blob, index } = STORED_INDEX.parse(record.value);
    return blob === pack.blob ? { ...pack, index: Buffer.from(index, 'base64') } : undefined;
  }

  /** The next start of this version is recorded, whatever is known of it. */
  want(versionKey: string, image: string): void {
    const before = this.#stored(versionKey);
    const recordings = before?.image === image ? before.recordings : [];
    this.#put({ versionKey, image, isWanted: true, recordings, pack: packOf(before, image) });
  }

  /** Whether there was one. */
  clear(versionKey: string): boolean {
    if (this.#stored(versionKey) === undefined) return false;
    this.#records.delete(keyOf(versionKey));
    if (this.#records.get(indexKeyOf(versionKey)) !== undefined) this.#records.delete(indexKeyOf(versionKey));
    return true;
  }

  /** Removes traces of images that are not live, and of versions of long ago. */
  collect(live: ReadonlySet<string>): void {
    const kept = new Map<string, number>();
    const newestFirst = this.list().toSorted((left, right) => atMsOf(right) - atMsOf(left));
    for (const { versionKey, image } of newestFirst) {
      const functionName = versionKey.split('@')[0] ?? '';
      const count = (kept.get(functionName) ?? 0) + 1;
      if (live.has(image) && count <= TRACES_PER_FUNCTION_MAX) kept.set(functionName, count);
      else this.clear(versionKey);
    }
  }

  #stored(versionKey: string): Stored | undefined {
    const record = this.#records.get(keyOf(versionKey));
    return record === undefined ? undefined : STORED.parse(record.value);
  }

  #put(stored: Stored): void {
    this.#records.put(keyOf(stored.versionKey), stored);
  }
}

/** The order in which a version's chunks are fetched ahead. */
export function replayOrder({ recordings }: Trace): Uint32Array {
  return mergeRecordings(recordings);
}

function atMsOf({ recordings }: Trace): number {
  return recordings.at(-1)?.atMs ?? 0;
}

function keyOf(versionKey: string): string {
  return PREFIX + encodeURIComponent(versionKey);
}

function indexKeyOf(versionKey: string): string {
  return INDEX_PREFIX + encodeURIComponent(versionKey);
}

/** What was read of another image is in no place here. */
function packOf(stored: Stored | undefined, image: string): TracePack | undefined {
  return stored?.image === image ? stored.pack : undefined;
}

function traceOf({ versionKey, image, isWanted, recordings, pack }: Stored): Trace {
  return {
    versionKey,
    image,
    isWanted,
    pack,
    recordings: recordings.map(({ atMs, windowMs, touches }) => ({
      atMs,
      windowMs,
      ...decodeTouches(touches),
    })),
  };
}
