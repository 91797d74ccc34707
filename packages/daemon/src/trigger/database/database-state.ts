/**
 * What a database trigger remembers. `url` and `name` say where something of it lies outside, so that it can be taken away
 * when the trigger is gone: they are kept before anything is made.
 */
export interface PostgresState {
  readonly kind: 'postgres';
  readonly url: string;
  /** Of publication and slot. */
  readonly name: string;
  /** Everything that was committed before was taken; absent until the slot was there. */
  readonly lsn?: string;
  /** Of the transaction after it, so many changes were taken, too. */
  readonly transaction?: { readonly commit: string; readonly changes: number };
}

export interface SqliteState {
  readonly kind: 'sqlite';
  readonly path: string;
  /** Part of the names of what was installed. */
  readonly name: string;
  /** Names one installation: in a file that was replaced it is another. */
  readonly epoch?: string;
  /** Everything up to here was taken. */
  readonly position?: number;
}

export type DatabaseState = PostgresState | SqliteState;

/** The state of a trigger as a database trigger's, or undefined where it is none. */
export function databaseState(value: unknown): DatabaseState | undefined {
  return isDatabaseState(value) ? value : undefined;
}

/** Nobody but this writes a state with such a kind. */
function isDatabaseState(value: unknown): value is DatabaseState {
  return (
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    (value.kind === 'postgres' || value.kind === 'sqlite')
  );
}
