import { randomBytes } from 'node:crypto';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import {
  WATCH_CHANGES_MAX,
  type ObjectCause,
  type ObjectChange,
  type ObjectInfo,
  type ObjectWatch,
  type ObjectWatches,
} from '../../objects.ts';
import { Watchers } from '../../watchers.ts';
import type { ObjectContext, ObjectTransaction } from './object-context.ts';

type ChangeKind = 'ObjectCreated' | 'ObjectRemoved';

/** The outbox: what changed, for whoever asked to be told, written with the change itself. */
export class SqliteWatches implements ObjectWatches {
  readonly #context: ObjectContext;
  /** The database holds the same. */
  readonly #watches = new Map<string, ObjectWatch>();
  /** Changes that each watch holds. */
  readonly #counts = new Map<string, number>();
  readonly #listeners = new Watchers();
  readonly #changesMax: number;

  constructor(context: ObjectContext, changesMax = WATCH_CHANGES_MAX) {
    this.#context = context;
    this.#changesMax = changesMax;
    context.read('read the watches of buckets', () => {
      for (const row of context.database.prepare('SELECT definition FROM watches').all()) {
        const watch: ObjectWatch = JSON.parse(String(row['definition']));
        this.#watches.set(watch.watchId, watch);
      }
      const counts = context.database
        .prepare('SELECT watch_id, COUNT(*) AS n FROM changes GROUP BY watch_id')
        .all();
      for (const row of counts) this.#counts.set(String(row['watch_id']), Number(row['n']));
    });
  }

  set(watch: ObjectWatch): void {
    const definition = JSON.stringify(watch);
    if (JSON.stringify(this.#watches.get(watch.watchId)) === definition) return;
    this.#context.change(`watch bucket '${watch.bucket}'`, [], () => {
      this.#context.database
        .prepare(
          `INSERT INTO watches VALUES (?, ?, ?)
           ON CONFLICT (watch_id) DO UPDATE SET bucket = excluded.bucket, definition = excluded.definition`,
        )
        .run(watch.watchId, watch.bucket, definition);
    });
    this.#watches.set(watch.watchId, watch);
  }

  delete(watchId: string): void {
    if (!this.#watches.has(watchId)) return;
    this.#context.change('end the watch of a bucket', [], () => {
      this.#context.database.prepare('DELETE FROM watches WHERE watch_id = ?').run(watchId);
    });
    this.#watches.delete(watchId);
    this.#counts.delete(watchId);
  }

  ids(): readonly string[] {
    return [...this.#watches.keys()];
  }

  changes(watchId: string, limit: number): readonly ObjectChange[] {
    return this.#context.read('read the changes of a bucket', () =>
      this.#context.database
        .prepare('SELECT sequence, change FROM changes WHERE watch_id = ? ORDER BY sequence LIMIT ?')
        .all(watchId, limit)
        .map((row) => {
          const change: Omit<ObjectChange, 'sequence'> = JSON.parse(String(row['change']));
          return { ...change, sequence: Number(row['sequence']) };
        }),
    );
  }

  async acknowledge(watchId: string, throughSequence: number): Promise<void> {
    await this.#context.changeSoon('acknowledge changes of a bucket', [], ({ afterCommit }) => {
      const statement = this.#context.database.prepare(
        'DELETE FROM changes WHERE watch_id = ? AND sequence <= ?',
      );
      const taken = Number(statement.run(watchId, throughSequence).changes);
      afterCommit(() => this.#counts.set(watchId, (this.#counts.get(watchId) ?? 0) - taken));
    });
  }

  listen(watchId: string, onChange: () => void): () => void {
    return this.#listeners.add(watchId, onChange);
  }

  tellOfBucket(bucket: string): void {
    for (const watch of this.#watches.values())
      if (watch.bucket === bucket) this.#listeners.tell(watch.watchId);
  }

  /** Part of the transaction that changes the object. Throws QUEUE_FULL. */
  record(
    transaction: ObjectTransaction,
    kind: ChangeKind,
    info: ObjectInfo,
    deltaSize: number,
    cause: ObjectCause,
  ): void {
    const event = `${kind}:${cause.operation}`;
    for (const watch of this.#watches.values()) {
      if (!matches(watch, event, kind, info)) continue;
      const count = this.#counts.get(watch.watchId) ?? 0;
      if (count >= this.#changesMax) {
        throw new ThawError(
          'QUEUE_FULL',
          `${this.#changesMax} changes of bucket '${info.bucket}' wait for trigger '${watch.watchId}', which takes none: resume, repair or delete it`,
          { retryAfterS: 1 },
        );
      }
      const change: Omit<ObjectChange, 'sequence'> = {
        changeId: randomBytes(12).toString('hex'),
        event,
        bucket: info.bucket,
        key: info.key,
        size: info.size,
        deltaSize,
        etag: info.etag,
        contentType: info.attributes.headers['content-type'] ?? '',
        timeMs: this.#context.clock.now(),
        cause,
      };
      this.#context.database
        .prepare('INSERT INTO changes (watch_id, change) VALUES (?, ?)')
        .run(watch.watchId, JSON.stringify(change));
      transaction.afterCommit(() => {
        this.#counts.set(watch.watchId, (this.#counts.get(watch.watchId) ?? 0) + 1);
        this.#listeners.tell(watch.watchId);
      });
    }
  }
}

function matches(watch: ObjectWatch, event: string, kind: ChangeKind, { bucket, key }: ObjectInfo): boolean {
  if (watch.bucket !== bucket) return false;
  if (!watch.events.some((wanted) => wanted === event || wanted === `${kind}:*`)) return false;
  return key.startsWith(watch.prefix) && key.endsWith(watch.suffix);
}
