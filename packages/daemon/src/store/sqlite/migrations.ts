/**
 * How each database grew. Entry n takes a database from version n to n + 1 and is never changed once released; a new
 * need is a new entry at the end.
 */

/** `thaw.db`: what was acknowledged to a caller. Every commit is on disk before it returns. */
export const CONTROL_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE records (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    revision INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- One row: the last revision given out, kept apart from the records so that a deleted one is never used again.
  CREATE TABLE revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
  ) STRICT;
  INSERT INTO revision (id, last) VALUES (1, 0);
  `,
];

/** `invocations.db`: what happened. Losing the last moments in a power failure is accepted. */
export const INVOCATION_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE invocations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    function_name TEXT NOT NULL,
    version_id TEXT NOT NULL,
    qualifier TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    error_code TEXT,
    error_type TEXT,
    cold_start INTEGER NOT NULL,
    timeline TEXT NOT NULL,
    billed_ms REAL NOT NULL,
    memory_mb REAL NOT NULL,
    memory_peak_mb REAL,
    status_code INTEGER
  ) STRICT;
  CREATE INDEX invocations_by_time ON invocations (started_at, seq);
  CREATE INDEX invocations_by_function ON invocations (function_name, started_at, seq);
  `,
];

/** `usage.db`: what functions used. Whole numbers, so that sums are exact. */
export const USAGE_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE usage_by_day (
    day TEXT NOT NULL,
    function_name TEXT NOT NULL,
    requests INTEGER NOT NULL,
    billed_us INTEGER NOT NULL,
    mb_us INTEGER NOT NULL,
    PRIMARY KEY (day, function_name)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE usage_by_instance (
    day TEXT NOT NULL,
    function_name TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    version_id TEXT NOT NULL,
    memory_mb INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    billed_us INTEGER NOT NULL,
    mb_us INTEGER NOT NULL,
    PRIMARY KEY (day, function_name, instance_id)
  ) STRICT, WITHOUT ROWID;
  `,
];
