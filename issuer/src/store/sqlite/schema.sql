CREATE TABLE users (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL,
  password_hash TEXT NOT NULL,
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
  revoked INTEGER NOT NULL CHECK (revoked IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

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
-- One key signs, and one is next.
CREATE UNIQUE INDEX keys_in_use ON keys (state) WHERE state <> 'retiring';

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  -- The user's id, the session's id in hexadecimal, or the key's kid.
  subject TEXT NOT NULL
) STRICT;
