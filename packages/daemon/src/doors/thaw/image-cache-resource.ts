import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { LazyMounter } from '../../image/imaged/lazy-mounter.ts';
import { replayOrder, type Trace } from '../../image/trace/trace-store.ts';
import { noSuchMethod, type ThawAnswer, type ThawCall, type ThawResource } from './thaw-resource.ts';

const COLLECTIONS = new Set(['image-cache', 'image-traces', 'image-starts']);
/** Chunks of a trace that are shown; the whole of it is of no use to a reader. */
const SHOWN_CHUNKS_MAX = 1000;

/**
 * How images come to this machine: `/thaw/v1/image-cache` (tiers, `DELETE` empties the disk), `image-traces` and
 * `image-traces/<function or version>` (`DELETE` forgets, `POST` has the next start recorded), `image-starts/<digest>`.
 */
export class ImageCacheResource implements ThawResource {
  readonly #mounter: LazyMounter;

  constructor(mounter: LazyMounter) {
    this.#mounter = mounter;
  }

  owns([collection = '']: readonly string[]): boolean {
    return COLLECTIONS.has(collection);
  }

  handle(call: ThawCall): ThawAnswer | Promise<ThawAnswer> {
    const [collection, name = '', ...rest] = call.segments;
    if (rest.length > 0) throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${call.path}`);
    if (collection === 'image-cache') return this.#cache(call);
    if (collection === 'image-traces') return this.#traces(call, name);
    if (call.method !== 'GET') throw noSuchMethod(call);
    const { derived, failure } = this.#mounter.describe(name);
    return {
      json: {
        converted: derived ?? null,
        failure: failure === undefined ? null : { code: failure.code, message: failure.message },
        starts: this.#mounter.reports.list(name),
      },
    };
  }

  async #cache(call: ThawCall): Promise<ThawAnswer> {
    if (call.method === 'DELETE') {
      await this.#mounter.clearCache();
      return { status: 204 };
    }
    if (call.method !== 'GET') throw noSuchMethod(call);
    return { json: { usage: (await this.#mounter.usage()) ?? null } };
  }

  #traces(call: ThawCall, name: string): ThawAnswer {
    const { traces } = this.#mounter;
    if (name === '') {
      if (call.method !== 'GET') throw noSuchMethod(call);
      return { json: { traces: traces.list().map(summaryOf) } };
    }
    const named = name.includes('@') ? [traces.require(name)] : traces.list(name);
    if (named.length === 0) throw new ThawError('IMAGE_NOT_FOUND', `nothing was recorded of '${name}'`);
    switch (call.method) {
      case 'GET':
        return { json: { traces: named.map((trace) => ({ ...summaryOf(trace), order: orderOf(trace) })) } };
      case 'DELETE':
        for (const { versionKey } of named) traces.clear(versionKey);
        return { status: 204 };
      case 'POST':
        for (const { versionKey, image } of named) traces.want(versionKey, image);
        return { json: { traces: traces.list(name.split('@')[0]).map(summaryOf) } };
      default:
        throw noSuchMethod(call);
    }
  }
}

function summaryOf(trace: Trace): object {
  return {
    versionKey: trace.versionKey,
    image: trace.image,
    chunks: replayOrder(trace).length,
    isWanted: trace.isWanted,
    recordings: trace.recordings.map(({ atMs, windowMs, chunks }) => ({
      atMs,
      windowMs,
      chunks: chunks.length,
    })),
    pack: trace.pack ?? null,
  };
}

function orderOf(trace: Trace): number[] {
  return [...replayOrder(trace).slice(0, SHOWN_CHUNKS_MAX)];
}
