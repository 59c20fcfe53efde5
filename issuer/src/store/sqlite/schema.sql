-- Version 1. SQLite's user_version has the number.
CREATE TABLE database (
  -- The oldest schema version whose binaries can use this schema. One row.
  compatible_version INTEGER NOT NULL
) STRICT;
INSERT INTO database (compatible_version) VALUES (0);

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  locked INTEGER NOT NULL CHECK (locked IN (0, 1))
) STRICT;

CREATE TABLE clients (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL,
  -- SHA-256 is enough: the secret is 32 random bytes and cannot be guessed.
  secret_hash BLOB NOT NULL,
  locked INTEGER NOT NULL CHECK (locked IN (0, 1)),
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
  id BLOB PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id TEXT NOT NULL,
  scope TEXT NOT NULL,
  counter INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  rotated_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),
  -- The session's status index. Both are null if the session was opened without one.
  status_list INTEGER,
  status_index INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE UNIQUE INDEX sessions_by_status ON sessions (status_list, status_index)
  WHERE status_list IS NOT NULL;
-- A status list is made from this index alone.
CREATE INDEX sessions_ended ON sessions (status_list, expires_at, status_index)
  WHERE status_list IS NOT NULL AND revoked = 1;

CREATE TABLE login_failures (
  -- HMAC-SHA256, so that nobody can read the names that somebody tried.
  counter BLOB PRIMARY KEY,
  failures INTEGER NOT NULL,
  blocked_until INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  -- The random id of the last attempt that was counted.
  attempt BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_failures_by_time ON login_failures (last_at);

CREATE TABLE keys (
  kid TEXT PRIMARY KEY,
  bits INTEGER NOT NULL,
  n TEXT NOT NULL,
  e TEXT NOT NULL,
  sealed BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('published', 'active', 'retiring')),
  published_at INTEGER NOT NULL,
  activates_at INTEGER,
  retired_at INTEGER,
  drops_at INTEGER
) STRICT;
-- At most one key signs, and at most one is next.
CREATE UNIQUE INDEX keys_in_use ON keys (state) WHERE state <> 'retiring';

CREATE TABLE secrets (
  name TEXT PRIMARY KEY,
  -- Sealed under the master key, with the name as associated data.
  sealed BLOB NOT NULL
) STRICT;

-- The latest time that an issuer saw. One row.
CREATE TABLE clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  latest INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  -- The id of a user or a client, the id of a session in hexadecimal, or a kid.
  subject TEXT NOT NULL
) STRICT;
