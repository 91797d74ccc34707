/** `objects/objects.db`: entry n takes a database from version n to n + 1 and is never changed once released. */
export const OBJECT_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE buckets (
    name TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- Every file that exists outside of tmp. Garbage is named by nothing and waits to be removed.
  CREATE TABLE files (
    file_id TEXT PRIMARY KEY,
    is_garbage INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX garbage ON files (file_id) WHERE is_garbage = 1;

  -- pieces: JSON list of [file id, size]. upload_id: the upload that it was completed from.
  CREATE TABLE objects (
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    pieces TEXT NOT NULL,
    upload_id TEXT,
    PRIMARY KEY (bucket, key)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE uploads (
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (bucket, key, upload_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE parts (
    upload_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    file_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    checksum TEXT,
    PRIMARY KEY (upload_id, number)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE watches (
    watch_id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL,
    definition TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE changes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    watch_id TEXT NOT NULL REFERENCES watches (watch_id) ON DELETE CASCADE,
    change TEXT NOT NULL
  ) STRICT;
  CREATE INDEX changes_of_watch ON changes (watch_id, sequence);
  `,
];
