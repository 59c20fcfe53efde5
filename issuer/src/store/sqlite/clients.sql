CREATE TABLE clients (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL,
  -- SHA-256: the secret is 32 random bytes, so that nobody can try them all.
  secret_hash BLOB NOT NULL,
  locked INTEGER NOT NULL CHECK (locked IN (0, 1)),
  created_at INTEGER NOT NULL
) STRICT;

ALTER TABLE users ADD COLUMN locked INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1));
