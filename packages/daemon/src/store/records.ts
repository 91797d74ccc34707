/**
 * A revisioned key-value store for everything that must survive: functions, versions, aliases, triggers, layers.
 *
 * Contract (each number is named by the contract suite):
 *  1. A `put` or `delete` that returned is on disk: it survives `kill -9`.
 *  2. `expectedRevision` makes the write conditional: 0 means "must not exist", n means "must be at revision n";
 *     a mismatch throws CONFLICT and writes nothing.
 *  3. Revisions grow with every write to the store and are never used again.
 *  4. `list` gives a consistent snapshot ordered by key (code units).
 *  5. `batch` applies all of its writes or none.
 *  6. Watchers are told of every committed change once, in commit order, after it can be read, on a later turn.
 *  7. Values are JSON; what is read equals what was written.
 */
export interface Records {
  get(key: string): StoredRecord | undefined;
  /** All records whose key starts with `prefix`. */
  list(prefix: string): readonly StoredRecord[];
  put(key: string, value: unknown, expectedRevision?: number): number;
  delete(key: string, expectedRevision?: number): void;
  batch(writes: readonly RecordWrite[]): void;
  /** Calls back for each later change under `prefix`; the returned function ends the watch. */
  watch(prefix: string, onChange: (change: RecordChange) => void): () => void;
  close(): void;
}

export interface StoredRecord {
  readonly key: string;
  readonly value: unknown;
  readonly revision: number;
}

export type RecordWrite =
  | {
      readonly kind: 'put';
      readonly key: string;
      readonly value: unknown;
      readonly expectedRevision?: number;
    }
  | { readonly kind: 'delete'; readonly key: string; readonly expectedRevision?: number };

export type RecordChange =
  | { readonly kind: 'put'; readonly record: StoredRecord }
  | { readonly kind: 'delete'; readonly key: string };
