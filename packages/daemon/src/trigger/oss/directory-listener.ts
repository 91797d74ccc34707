import { hash } from 'node:crypto';
import { lstat, readdir } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { watch, type FSWatcher } from 'chokidar';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { OssTrigger } from '../../model/trigger.ts';
import type { FileMark, KnownFiles } from '../../store/known-files.ts';
import type { AttachedTrigger, TriggerTarget } from '../trigger-source.ts';
import { ossEvent, type OssPlace } from './oss-event.ts';
import { Wake } from './wake.ts';
import type { WatchedDirectories } from './watched-directories.ts';

/** A file that was written to within this time may still be being written. */
const SETTLE_MS = 400;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;
/** Files of one directory that may be known, or wait to be looked at. */
const FILES_MAX = 100_000;

export interface DirectoryListenerDeps {
  readonly clock: Clock;
  readonly files: KnownFiles;
  readonly directories: WatchedDirectories;
  readonly place: OssPlace;
}

/**
 * A directory with all below it. What each file was like when it was last told of is on disk; at the start all files are
 * held against that, so that what happened meanwhile is told too. Files that are there when the trigger is made are
 * none of its events. A path is looked at once it has been quiet for `SETTLE_MS`; what is told is how it is then.
 */
export class DirectoryListener implements AttachedTrigger {
  readonly #trigger: OssTrigger;
  readonly #path: string;
  readonly #target: TriggerTarget;
  readonly #deps: DirectoryListenerDeps;
  readonly #wake = new Wake();
  readonly #done: Promise<void>;
  /** Paths that may have changed, and when to look. */
  readonly #due = new Map<string, number>();
  #watcher: FSWatcher | undefined;
  #watcherFailure: unknown;
  #isDetached = false;

  constructor(trigger: OssTrigger, path: string, target: TriggerTarget, deps: DirectoryListenerDeps) {
    this.#trigger = trigger;
    this.#path = path;
    this.#target = target;
    this.#deps = deps;
    this.#done = this.#run();
  }

  async detach(): Promise<void> {
    this.#isDetached = true;
    this.#wake.wake();
    await this.#done;
    await this.#watcher?.close();
  }

  async #run(): Promise<void> {
    let retryMs = RETRY_MS_MIN;
    while (!this.#isDetached) {
      try {
        if (this.#watcherFailure !== undefined) await this.#endWatching();
        if (this.#watcher === undefined) await this.#beginWatching();
        const waitMs = await this.#lookAtDue();
        this.#target.report(undefined);
        retryMs = RETRY_MS_MIN;
        await this.#wake.sleep(waitMs);
      } catch (error) {
        this.#target.report(ThawError.from(error, `watching the directory ${this.#path}`));
        await this.#wake.sleep(retryMs);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
      }
    }
  }

  async #beginWatching(): Promise<void> {
    const root = this.#deps.directories.require(this.#path);
    const found = await lstat(root).catch(() => undefined);
    if (found?.isDirectory() !== true)
      throw new ThawError('INVALID_ARGUMENT', `${this.#path} is not a directory of this machine`);
    const watcher = watch(root, { ignoreInitial: true, followSymlinks: false });
    this.#watcher = watcher;
    watcher.on('all', (_event, path) => this.#touch(path));
    watcher.on('error', (error) => {
      this.#watcherFailure = error;
      this.#wake.wake();
    });
    await new Promise<void>((resolve) => {
      watcher.once('ready', resolve);
      watcher.once('error', () => resolve());
    });
    await this.#compare(root);
  }

  async #endWatching(): Promise<void> {
    const failure = this.#watcherFailure;
    this.#watcherFailure = undefined;
    const watcher = this.#watcher;
    this.#watcher = undefined;
    await watcher?.close();
    throw failure;
  }

  /** Everything that is there, and everything that was. */
  async #compare(root: string): Promise<void> {
    const { triggerId } = this.#trigger;
    const { files } = this.#deps;
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    if (paths.length > FILES_MAX)
      throw new ThawError('LIMIT_EXCEEDED', `there are more than ${FILES_MAX} files below ${this.#path}`);
    const state = this.#target.state.get();
    if (!isStateOf(state, this.#path)) {
      // Another directory than before: what was known is of that one.
      files.forget(triggerId);
      const marks = new Map<string, FileMark>();
      for (const path of paths) {
        const mark = await markOf(path);
        if (mark !== undefined) marks.set(path, mark);
      }
      files.setAll(triggerId, marks);
      this.#target.state.set({ watchedDirectory: this.#path, triggerId });
    }
    for (const path of new Set([...paths, ...files.paths(triggerId)])) this.#touch(path, 0);
  }

  #touch(path: string, waitMs = SETTLE_MS): void {
    if (this.#due.size >= FILES_MAX && !this.#due.has(path)) {
      // Looked for again when all are compared.
      this.#watcherFailure ??= new ThawError('LIMIT_EXCEEDED', `too many files change below ${this.#path}`);
    } else this.#due.set(path, this.#deps.clock.monotonicMs() + waitMs);
    this.#wake.wake();
  }

  /** Looks at every path whose time has come. Gives the milliseconds until the next one's. */
  async #lookAtDue(): Promise<number | undefined> {
    for (const [path, dueMs] of this.#due) {
      if (this.#isDetached) return undefined;
      if (dueMs > this.#deps.clock.monotonicMs()) continue;
      const mark = await markOf(path);
      if (mark !== undefined && Math.abs(this.#deps.clock.now() - mark.modifiedMs) < SETTLE_MS) {
        this.#due.set(path, this.#deps.clock.monotonicMs() + SETTLE_MS);
        continue;
      }
      await this.#tell(path, mark);
      // Unless it was touched meanwhile.
      if (this.#due.get(path) === dueMs) this.#due.delete(path);
    }
    let nextMs = Infinity;
    for (const dueMs of this.#due.values()) nextMs = Math.min(nextMs, dueMs);
    return nextMs === Infinity ? undefined : Math.max(1, nextMs - this.#deps.clock.monotonicMs());
  }

  async #tell(path: string, mark: FileMark | undefined): Promise<void> {
    const { triggerId } = this.#trigger;
    const { files } = this.#deps;
    const known = files.get(triggerId, path);
    if (known?.size === mark?.size && known?.modifiedMs === mark?.modifiedMs) return;
    const event = mark === undefined ? 'ObjectRemoved:DeleteObject' : 'ObjectCreated:PutObject';
    if (this.#isWanted(event, path)) await this.#submit(event, path, known, mark);
    if (mark === undefined) files.delete(triggerId, path);
    else files.set(triggerId, path, mark);
  }

  async #submit(
    event: string,
    path: string,
    known: FileMark | undefined,
    mark: FileMark | undefined,
  ): Promise<void> {
    const { triggerId } = this.#trigger;
    const { clock, place } = this.#deps;
    const { size = 0, modifiedMs = clock.now() } = mark ?? {};
    const etag = hash('md5', `${path}\n${size}\n${modifiedMs}`);
    const happening = {
      event,
      bucket: basename(this.#path),
      arn: pathToFileURL(this.#path).href,
      key: this.#keyOf(path),
      path,
      size,
      deltaSize: size - (known?.size ?? 0),
      etag,
      contentType: '',
      timeMs: mark === undefined ? clock.now() : modifiedMs,
      sourceIp: '127.0.0.1',
      requestId: '',
      principalId: place.accountId,
    };
    // What was known is part of the id: a file that comes back as it was is news again.
    const from = known === undefined ? 'new' : `${known.size} ${known.modifiedMs}`;
    const to = mark === undefined ? 'gone' : `${mark.size} ${mark.modifiedMs}`;
    const id = hash('sha256', `${triggerId}\n${path}\n${from}\n${to}`).slice(0, 40);
    await this.#target.submit(ossEvent(happening, triggerId, place), { taskId: `oss-${id}` });
  }

  #isWanted(event: string, path: string): boolean {
    const { events, filter } = this.#trigger.config;
    const [kind = ''] = event.split(':');
    if (!events.some((wanted) => wanted === `oss:${event}` || wanted === `oss:${kind}:*`)) return false;
    const key = this.#keyOf(path);
    return key.startsWith(filter.key?.prefix ?? '') && key.endsWith(filter.key?.suffix ?? '');
  }

  #keyOf(path: string): string {
    const root = this.#deps.directories.require(this.#path);
    return relative(root, path).split(sep).join('/');
  }
}

/** Undefined for what is not there, or no plain file. */
async function markOf(path: string): Promise<FileMark | undefined> {
  try {
    const found = await lstat(path);
    return found.isFile() ? { size: found.size, modifiedMs: found.mtimeMs } : undefined;
  } catch (error) {
    const isGone =
      error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
    if (isGone) return undefined;
    throw error;
  }
}

function isStateOf(state: unknown, path: string): boolean {
  return (
    typeof state === 'object' &&
    state !== null &&
    'watchedDirectory' in state &&
    state.watchedDirectory === path
  );
}
