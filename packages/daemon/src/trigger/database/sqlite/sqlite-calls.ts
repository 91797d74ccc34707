/** What the thread that holds a user's file is asked and answers. */

import type { Operation, Row } from '../row-change.ts';
import type { Installed } from './capture.ts';

export interface OpenCall {
  readonly do: 'open';
  readonly path: string;
  readonly name: string;
  readonly tables: readonly string[];
  readonly operations: readonly Operation[];
}

export type SqliteCall =
  | OpenCall
  /** Changes behind a position, or nothing where there are none yet. */
  | { readonly do: 'read'; readonly after: number }
  /** Forgets changes up to a position. */
  | { readonly do: 'prune'; readonly upTo: number }
  | { readonly do: 'uninstall'; readonly path: string; readonly name: string };

export interface CapturedChange {
  readonly position: number;
  readonly table: string;
  readonly operation: Operation;
  readonly key: Row | null;
  readonly isKeyChange: boolean;
  readonly before: Row | null;
  readonly after: Row | null;
  readonly at: string;
}

export interface ReadAnswer {
  readonly changes: readonly CapturedChange[];
  /** Set where the file's tables were looked at again. */
  readonly wrong?: readonly string[];
}

export interface SqliteAnswers {
  readonly open: Installed;
  readonly read: ReadAnswer;
  /** False where somebody else holds the file: later, then. */
  readonly prune: boolean;
  readonly uninstall: null;
}

export interface SqliteRequest {
  readonly id: number;
  readonly call: SqliteCall;
}

export type SqliteReply =
  | { readonly id: number; readonly value: SqliteAnswers[SqliteCall['do']] }
  | { readonly id: number; readonly failure: SqliteFailure };

/** Errors lose their fields between threads. */
export interface SqliteFailure {
  readonly message: string;
  /** SQLite's own number of the error, or Node's name of it. */
  readonly code: string;
}
