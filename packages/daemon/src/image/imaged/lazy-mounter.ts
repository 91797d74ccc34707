import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { PlatformLog } from '../../base/platform-log.ts';
import type { Acceleration } from '../acceleration.ts';
import type { ImageMounter, MountRequest, RootFileSystem } from '../image-mounter.ts';
import { isOutdated, isWorthAdding, replayResult } from '../trace/merge-recordings.ts';
import type { TracePack } from '../trace/trace-pack.ts';
import { replayOrder, type TraceStore } from '../trace/trace-store.ts';
import { DerivedImages, type DerivedImage } from './derived-images.ts';
import type { ImageSource } from './image-source.ts';
import { ImagedProcess } from './imaged-process.ts';
import type { CacheUsage, ImagedOptions, NodeMeasure } from './messages.ts';
import { StartReports, startReport, type StartReport } from './start-report.ts';

export interface LazyMounterOptions extends Omit<ImagedOptions, 'convertsFirst'> {
  /** For what cannot be mounted lazily, or not yet. */
  readonly full: ImageMounter;
  /** Whether anything is mounted lazily; absent: what can be is. */
  readonly isEnabled?: boolean;
  readonly traces: TraceStore;
  readonly clock: Clock;
  readonly log: PlatformLog;
}

/** After the first answer of a recorded instance its reads count for so long. */
const GRACE_MS = 5_000;
/** No start is watched longer. */
const WINDOW_MS_MAX = 180_000;
/** A mount that no instance has any more stays for so long: the next instance need not wait for it. */
const IDLE_MS = 60_000;
const FIRST_NODE = 16;

interface Shared {
  readonly mounting: Promise<Node>;
  /** Instances that have it now, and those that ever had it. */
  uses: number;
  starts: number;
  idle: NodeJS.Timeout | undefined;
  /** The first instance on it, whose reads are still being recorded. */
  recording: { readonly versionKey: string; readonly watch: Watch } | undefined;
}

interface Node {
  readonly node: number;
  readonly path: string;
}

/** Why an image is not mounted lazily now. */
interface Hindrance {
  readonly reason: string;
}

/**
 * Mounts images before they are here. One mount for each image is shared by all instances on the machine; an instance
 * whose first reads are recorded has a mount that nobody else has read from, since that would hide its reads. When it has
 * given its first answer the others share that one, with all that the kernel keeps of it in memory. An image that
 * is not converted yet is pulled whole meanwhile, and on a machine that cannot do this every image is; each start says
 * which it was, and why.
 */
export class LazyMounter implements ImageMounter {
  readonly reports = new StartReports();
  readonly #options: LazyMounterOptions;
  readonly #derived: DerivedImages;
  readonly #shared = new Map<string, Shared>();
  readonly #uses = new Map<string, number>();
  readonly #failed = new Map<string, ThawError>();
  /** Images whose conversion is told of when it ends, once for all the starts that have asked for it. */
  readonly #converting = new Set<string>();
  readonly #recording = new Set<string>();
  readonly #watches = new Set<Watch>();
  #process: Promise<ImagedProcess | Hindrance> | undefined;
  #nextNode = FIRST_NODE;
  #isClosed = false;

  constructor(options: LazyMounterOptions) {
    this.#options = options;
    this.#derived = new DerivedImages(options.directory);
  }

  async mount(request: MountRequest): Promise<RootFileSystem> {
    const { acceleration = 'lazy' } = request;
    if (acceleration === 'none') return await this.#full(request, 'the function asks for no acceleration');
    if (this.#options.isEnabled === false) return await this.#full(request, 'lazy images are switched off');
    const opened = await this.#open(this.#derived.describe(request.image.digest) === undefined);
    if (!(opened instanceof ImagedProcess)) return await this.#full(request, opened.reason);
    const derived = await this.#convert(opened, request);
    if ('reason' in derived) return await this.#full(request, derived.reason);
    try {
      return await this.#lazy(opened, request, derived);
    } catch (error) {
      if (this.#isClosed) throw error;
      this.#options.log('error', `image ${request.image.digest} could not be mounted lazily`, error);
      return await this.#full(request, `mounting it lazily failed: ${messageOf(error)}`);
    }
  }

  async collect(live: ReadonlySet<string>): Promise<number> {
    const kept = new Set([...live, ...this.#uses.keys(), ...this.#shared.keys()]);
    this.#options.traces.collect(kept);
    for (const digest of this.#failed.keys()) if (!kept.has(digest)) this.#failed.delete(digest);
    const removed = this.#derived.collect(kept);
    // What is mounted lazily needs no unpacked copy, nor the layers as they came.
    const isLazy = this.#options.isEnabled !== false;
    const whole = new Set([...live].filter((digest) => !isLazy || !this.#derived.has(digest)));
    return removed + (await this.#options.full.collect(whole));
  }

  async close(): Promise<void> {
    // What was recorded so far is kept.
    await Promise.all([...this.#watches].map((watch) => watch.end()));
    this.#isClosed = true;
    for (const { idle } of this.#shared.values()) clearTimeout(idle);
    const opened = await this.#process;
    if (opened instanceof ImagedProcess) await opened.close();
    await this.#options.full.close();
  }

  /** For whoever looks at an image: what was derived from it, or why nothing was. */
  describe(digest: string): {
    readonly derived: DerivedImage | undefined;
    readonly failure: ThawError | undefined;
  } {
    return { derived: this.#derived.describe(digest), failure: this.#failed.get(digest) };
  }

  /** Undefined where no image was mounted lazily since the start. */
  async usage(): Promise<(CacheUsage & { readonly restarts: number; readonly method: string }) | undefined> {
    const opened = await this.#process;
    if (!(opened instanceof ImagedProcess)) return undefined;
    const usage = await opened.call({ type: 'usage' });
    const memory = { ...usage.tiers.memory, ...this.reports.memory };
    return { ...usage, tiers: { ...usage.tiers, memory }, restarts: opened.restarts, method: opened.method };
  }

  /** Empties the cache on disk. What the kernel holds of mounted images stays. */
  async clearCache(): Promise<void> {
    const opened = await this.#process;
    if (opened instanceof ImagedProcess) await opened.call({ type: 'clearCache' });
    else rmSync(join(this.#options.directory, 'chunks'), { recursive: true, force: true });
  }

  get traces(): TraceStore {
    return this.#options.traces;
  }

  /** For tests of its death. */
  async imagedPid(): Promise<number | undefined> {
    const opened = await this.#process;
    return opened instanceof ImagedProcess ? opened.pid : undefined;
  }

  async #full(request: MountRequest, why: string): Promise<RootFileSystem> {
    const startedMs = this.#options.clock.monotonicMs();
    const root = await this.#options.full.mount(request);
    const reason = `${root.reason}; ${why}`;
    if (request.versionKey !== '') {
      const mountMs = this.#options.clock.monotonicMs() - startedMs;
      this.reports.add({ ...this.#reportBase(request), mode: 'full', reason, mountMs });
    }
    return { ...root, reason };
  }

  /** The server starts with the first image. What this machine cannot do is asked once. */
  #open(convertsFirst: boolean): Promise<ImagedProcess | Hindrance> {
    const { directory, mountDirectory, cacheBytesMax, prefetchBytesPerSecondMax } = this.#options;
    const { giveUpMs, hangMs, methods, insecureRegistries, zone, copies, collectsBuffers } = this.#options;
    this.#process ??= ImagedProcess.open(
      {
        directory,
        mountDirectory,
        cacheBytesMax,
        prefetchBytesPerSecondMax,
        giveUpMs,
        hangMs,
        methods,
        insecureRegistries,
        zone,
        copies,
        collectsBuffers,
        convertsFirst,
      },
      this.#options.log,
    ).catch((error: unknown) => {
      this.#options.log('warning', 'images are pulled whole on this machine', error);
      return { reason: messageOf(error) };
    });
    return this.#process;
  }

  /** What is quick is waited for; a conversion goes on in the background, and is tried again after a restart. */
  async #convert(opened: ImagedProcess, request: MountRequest): Promise<DerivedImage | Hindrance> {
    const { image, reference, setting } = request;
    const known = this.#derived.describe(image.digest);
    if (known !== undefined) return known;
    const failure = this.#failed.get(image.digest);
    if (failure !== undefined) return { reason: `it cannot be accelerated: ${failure.message}` };
    const source: ImageSource = { image, reference, setting };
    const isQuick = await opened.call({ type: 'isQuick', source });
    const conversion = opened.call({ type: 'convert', source });
    const isFirst = !this.#converting.has(image.digest);
    this.#converting.add(image.digest);
    const ended = (): void => {
      if (isFirst) this.#converting.delete(image.digest);
    };
    const settled = conversion.then(
      (derived) => {
        ended();
        if (!isQuick && isFirst)
          this.#options.log('info', `image ${image.digest} was converted; later starts mount it lazily`);
        return derived;
      },
      (thrown: unknown) => {
        ended();
        const error = ThawError.from(thrown, `converting image ${image.digest}`);
        // What may go away by itself is tried again with the next start.
        if (!error.isRetryable) this.#failed.set(image.digest, error);
        if (!this.#isClosed && isFirst)
          this.#options.log('warning', `image ${image.digest} was not converted`, error);
        return { reason: `it could not be converted: ${error.message}` };
      },
    );
    return isQuick ? await settled : { reason: 'it is being converted for later starts' };
  }

  async #lazy(opened: ImagedProcess, request: MountRequest, derived: DerivedImage): Promise<RootFileSystem> {
    const { image, versionKey } = request;
    const { copies } = this.#options;
    const fetchesAhead = this.#options.prefetchBytesPerSecondMax > 0;
    const acceleration = fetchesAhead ? (request.acceleration ?? 'lazy') : 'lazy';
    const startedMs = this.#options.clock.monotonicMs();
    const trace = versionKey === '' ? undefined : this.#options.traces.get(versionKey, image.digest);
    const isRecorded =
      versionKey !== '' && !this.#recording.has(versionKey) && (trace === undefined || trace.isWanted);
    this.#use(image.digest, 1);
    if (isRecorded) this.#recording.add(versionKey);
    let node: Node;
    let shared: Shared | undefined;
    try {
      if (isRecorded) {
        node = await (this.#takeFresh(image.digest) ?? this.#mountNode(opened, request));
      } else {
        shared = await this.#joinShared(opened, request);
        node = await shared.mounting;
      }
    } catch (error) {
      this.#use(image.digest, -1);
      this.#recording.delete(versionKey);
      throw error;
    }
    const similar =
      versionKey === '' || !fetchesAhead
        ? undefined
        : (trace ?? this.#options.traces.similar(versionKey, image.digest));
    const planned = similar === undefined ? undefined : replayOrder(similar);
    const pack =
      copies === undefined || similar === undefined ? undefined : this.#options.traces.indexedPack(similar);
    const how = lazyReason(derived, acceleration, isRecorded, { planned, pack });
    const reason = fetchesAhead ? how : `${how}; fetching ahead is switched off`;
    const mountMs = this.#options.clock.monotonicMs() - startedMs;
    const start: WatchedStart = { node: node.node, isRecorded, planned, reason, mountMs, shared };
    const watch = versionKey === '' ? undefined : this.#watch(opened, request, start);
    // Nobody waits for what is fetched ahead: the start goes on beside it.
    const ahead =
      acceleration === 'eager'
        ? opened.call({ type: 'prefetchAll', node: node.node })
        : planned === undefined || planned.length === 0
          ? Promise.resolve()
          : opened.call({ type: 'prefetch', node: node.node, chunks: planned, pack });
    ahead.catch((error: unknown) => this.#options.log('warning', 'fetching ahead did not begin', error));
    let isReleased = false;
    /** From now on others may have the mount of a recorded instance too, unless they have made one meanwhile. */
    const offer = (): void => {
      if (!isRecorded || isReleased || this.#shared.has(image.digest)) return;
      const recording = watch === undefined ? undefined : { versionKey, watch };
      shared = { mounting: Promise.resolve(node), uses: 1, starts: 1, idle: undefined, recording };
      this.#shared.set(image.digest, shared);
    };
    return {
      path: node.path,
      mode: acceleration === 'eager' ? 'eager' : 'lazy',
      reason,
      answered: () => {
        offer();
        watch?.answered();
      },
      release: () => {
        if (isReleased) return;
        // Whoever comes next finds what it has read in memory, whether it has answered or not.
        offer();
        isReleased = true;
        const ended = watch?.end() ?? Promise.resolve();
        void ended.then(() => {
          this.#use(image.digest, -1);
          if (shared === undefined) this.#unmount(opened, node);
          else this.#releaseShared(opened, image.digest, shared, node);
        });
      },
    };
  }

  /** The shared mount, if no instance has had it yet: it is nobody's afterwards. */
  #takeFresh(digest: string): Promise<Node> | undefined {
    const shared = this.#shared.get(digest);
    if (shared === undefined || shared.uses > 0 || shared.starts > 0) return undefined;
    clearTimeout(shared.idle);
    this.#shared.delete(digest);
    return shared.mounting;
  }

  async #joinShared(opened: ImagedProcess, request: MountRequest): Promise<Shared> {
    const { digest } = request.image;
    const { versionKey } = request;
    const known = this.#shared.get(digest);
    const shared: Shared = known ?? {
      mounting: this.#mountNode(opened, request),
      uses: 0,
      starts: 0,
      idle: undefined,
      recording: undefined,
    };
    this.#shared.set(digest, shared);
    shared.uses += 1;
    if (versionKey !== '') shared.starts += 1;
    clearTimeout(shared.idle);
    try {
      await shared.mounting;
      // What another function reads is not to be in the recording.
      const { recording } = shared;
      if (recording !== undefined && recording.versionKey !== versionKey) await recording.watch.end();
      return shared;
    } catch (error) {
      if (this.#shared.get(digest) === shared) this.#shared.delete(digest);
      throw error;
    }
  }

  async #mountNode(opened: ImagedProcess, { image, reference, setting }: MountRequest): Promise<Node> {
    const node = this.#nextNode++;
    const name = `${image.digest.replace('sha256:', '').slice(0, 16)}-${node}`;
    const path = join(this.#options.mountDirectory, 'mounts', name);
    const source: ImageSource = { image, reference, setting };
    await opened.mount({ node, name, mountPoint: path, source });
    return { node, path };
  }

  #releaseShared(opened: ImagedProcess, digest: string, shared: Shared, node: Node): void {
    shared.uses -= 1;
    if (shared.uses > 0 || this.#isClosed) return;
    shared.idle = setTimeout(() => {
      if (this.#shared.get(digest) === shared) this.#shared.delete(digest);
      this.#unmount(opened, node);
    }, IDLE_MS);
    shared.idle.unref();
  }

  #unmount(opened: ImagedProcess, { node }: Node): void {
    if (this.#isClosed) return;
    opened.unmount(node).catch((error: unknown) => {
      if (!this.#isClosed) this.#options.log('warning', 'an image could not be unmounted', error);
    });
  }

  #use(digest: string, by: number): void {
    const uses = (this.#uses.get(digest) ?? 0) + by;
    if (uses === 0) this.#uses.delete(digest);
    else this.#uses.set(digest, uses);
  }

  /**
   * Watches a start from its mount to a while after its first answer; then keeps what was seen. Calls are answered in
   * their order: what was read before is known before anything else is asked, and the start need not wait for it.
   */
  #watch(opened: ImagedProcess, request: MountRequest, start: WatchedStart): Watch {
    const { node } = start;
    const measured = opened.call({ type: 'measure', node });
    const touched = start.isRecorded ? undefined : opened.call({ type: 'touches', node });
    // Their failures are told when the watch ends.
    measured.catch(() => undefined);
    touched?.catch(() => undefined);
    const startedMs = this.#options.clock.monotonicMs();
    const atMs = this.#options.clock.now();
    const watch = new Watch(async () => {
      this.#watches.delete(watch);
      try {
        const windowMs = this.#options.clock.monotonicMs() - startedMs;
        const before = await measured;
        const known = new Set((await touched)?.chunks);
        await this.#keep(opened, request, start, { before, known, atMs, windowMs });
      } catch (error) {
        if (!this.#isClosed) this.#options.log('warning', 'what a start read could not be kept', error);
      } finally {
        if (start.isRecorded) this.#recording.delete(request.versionKey);
      }
    });
    this.#watches.add(watch);
    return watch;
  }

  async #keep(
    opened: ImagedProcess,
    request: MountRequest,
    { node, isRecorded, planned, reason, mountMs, shared }: WatchedStart,
    {
      before,
      known,
      atMs,
      windowMs,
    }: { before: NodeMeasure; known: ReadonlySet<number>; atMs: number; windowMs: number },
  ): Promise<void> {
    const { versionKey, image, acceleration = 'lazy' } = request;
    const { traces } = this.#options;
    const after = await opened.call({ type: 'measure', node });
    const touches = await opened.call({ type: 'touches', node });
    const { chunks, ms, missed } = touches;
    const demanded = chunks.filter((chunk) => !known.has(chunk));
    const replay = planned === undefined ? undefined : replayResult(planned, demanded, missed);
    // Nobody had read from the mount, and nobody else did: that shows a start's reads as well as a recording.
    const isAlone = isRecorded || shared?.starts === 1;
    if (isRecorded) {
      if (chunks.length > 0) traces.add(versionKey, image.digest, { atMs, windowMs, chunks, ms });
    } else if (replay !== undefined && isOutdated(replay)) {
      traces.want(versionKey, image.digest);
    } else if (replay !== undefined && isAlone && isWorthAdding(replay)) {
      traces.add(versionKey, image.digest, { atMs, windowMs, chunks, ms });
    }
    const trace = traces.get(versionKey, image.digest);
    const isNew = trace?.recordings.at(-1)?.atMs === atMs;
    if (isAlone && trace !== undefined && (isNew || trace.pack === undefined))
      this.#pack(opened, request, node);
    const mode = acceleration === 'eager' ? 'eager' : 'lazy';
    this.reports.add({
      ...this.#reportBase(request),
      atMs,
      mode,
      reason,
      mountMs,
      lazy: startReport({ before, after, windowMs, isRecorded, touches, known, planned, replay }),
    });
  }

  /** In the background: what the start read becomes a pack, for whoever starts elsewhere. */
  #pack(opened: ImagedProcess, { versionKey, image }: MountRequest, node: number): void {
    const { copies, prefetchBytesPerSecondMax, traces, log } = this.#options;
    if (copies?.pushes !== true || prefetchBytesPerSecondMax === 0) return;
    const packing = opened.call({ type: 'pack', node, as: this.#nextNode++ });
    packing
      .then((pack) => {
        if (pack !== undefined && !this.#isClosed) traces.setPack(versionKey, image.digest, pack);
      })
      .catch((error: unknown) => {
        if (!this.#isClosed)
          log('warning', `what ${versionKey} reads first of its image was not packed`, error);
      });
  }

  #reportBase({ versionKey, image }: MountRequest): Pick<StartReport, 'versionKey' | 'image' | 'atMs'> {
    return { versionKey, image: image.digest, atMs: this.#options.clock.now() };
  }
}

interface WatchedStart {
  readonly node: number;
  readonly isRecorded: boolean;
  readonly planned: Uint32Array | undefined;
  readonly reason: string;
  readonly mountMs: number;
  /** Undefined where it has a mount of its own. */
  readonly shared: Shared | undefined;
}

/** The time during which a start's reads count. */
class Watch {
  readonly #onEnd: () => Promise<void>;
  #timer: NodeJS.Timeout;
  #ended: Promise<void> | undefined;
  #hasAnswered = false;

  constructor(onEnd: () => Promise<void>) {
    this.#onEnd = onEnd;
    this.#timer = setTimeout(() => void this.end(), WINDOW_MS_MAX);
    this.#timer.unref();
  }

  answered(): void {
    if (this.#hasAnswered || this.#ended !== undefined) return;
    this.#hasAnswered = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.end(), GRACE_MS);
    this.#timer.unref();
  }

  end(): Promise<void> {
    clearTimeout(this.#timer);
    this.#ended ??= this.#onEnd();
    return this.#ended;
  }
}

const PLACES: readonly (readonly [DerivedImage['layers'][number]['place'], string])[] = [
  ['registry', 'the registry'],
  ['copies', 'copies of layers that another machine left'],
  ['local', 'copies of layers that were converted on this machine'],
];

function lazyReason(
  { layers }: DerivedImage,
  acceleration: Acceleration,
  isRecorded: boolean,
  { planned, pack }: { readonly planned: Uint32Array | undefined; readonly pack: TracePack | undefined },
): string {
  const places = new Set(layers.map(({ place }) => place));
  const from = PLACES.flatMap(([place, name]) => (places.has(place) ? [name] : [])).join(' and from ');
  const ahead =
    acceleration === 'eager'
      ? ', and all of it ahead'
      : planned === undefined || planned.length === 0
        ? ''
        : `, ${planned.length} chunks ahead as its trace says${pack === undefined ? '' : ', or a pack of what is read of them'}`;
  return `read as needed from ${from === '' ? 'nowhere, it is empty' : from}${ahead}${isRecorded ? '; what it reads first is recorded' : ''}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
