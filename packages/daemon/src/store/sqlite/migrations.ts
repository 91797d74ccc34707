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
  'ALTER TABLE invocations ADD COLUMN replay_of TEXT',
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

/** `queue.db`: asynchronous invocations. Every commit is on disk before it returns. */
export const QUEUE_MIGRATIONS: readonly string[] = [
  `
  -- phase: 0 waits, 1 is leased, 2 is settled, 3 is settled as a dead letter.
  CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    function_name TEXT NOT NULL,
    task_id TEXT NOT NULL,
    qualifier TEXT NOT NULL,
    request_id TEXT NOT NULL,
    source TEXT NOT NULL,
    http TEXT,
    phase INTEGER NOT NULL,
    status TEXT NOT NULL,
    token INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    tries INTEGER NOT NULL,
    deferrals INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    version_id TEXT NOT NULL,
    error TEXT,
    events TEXT NOT NULL,
    payload_size INTEGER NOT NULL,
    payload_blob TEXT,
    result_size INTEGER,
    result_blob TEXT,
    result_head TEXT,
    to_hand_on INTEGER NOT NULL,
    destination_status TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX tasks_by_id ON tasks (function_name, task_id);
  CREATE INDEX tasks_by_time ON tasks (function_name, enqueued_at, seq);
  CREATE INDEX tasks_by_status ON tasks (function_name, status, enqueued_at, seq);
  CREATE INDEX tasks_waiting ON tasks (function_name, due_at, seq) WHERE phase = 0;
  CREATE INDEX tasks_leased ON tasks (seq) WHERE phase = 1;
  CREATE INDEX tasks_settled ON tasks (phase, ended_at, seq) WHERE phase >= 2;
  CREATE INDEX tasks_to_hand_on ON tasks (seq) WHERE to_hand_on = 1;
  CREATE INDEX tasks_payload_blob ON tasks (payload_blob) WHERE payload_blob IS NOT NULL;
  CREATE INDEX tasks_result_blob ON tasks (result_blob) WHERE result_blob IS NOT NULL;

  -- Apart from the tasks, whose rows change often, so that the bytes are written once.
  CREATE TABLE payloads (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE results (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  `,
  `
  -- Tokens of leases begin with the number of the opening, so that no lease is taken for one of another process.
  CREATE TABLE openings (count INTEGER NOT NULL) STRICT;
  INSERT INTO openings VALUES (0);
  `,
];
