/**
 * What a watched directory's files were like when somebody was last told of them, by trigger. Contract: what `set` and
 * `delete` returned for is on disk.
 */
export interface KnownFiles {
  get(triggerId: string, path: string): FileMark | undefined;
  set(triggerId: string, path: string, mark: FileMark): void;
  /** Many at once, in one step. */
  setAll(triggerId: string, marks: ReadonlyMap<string, FileMark>): void;
  delete(triggerId: string, path: string): void;
  paths(triggerId: string): readonly string[];
  forget(triggerId: string): void;
}

/** A file that changes has another one. */
export interface FileMark {
  readonly size: number;
  readonly modifiedMs: number;
}
