-- Version 1. All names are in the SQL schema `countersign`, apart from other applications' names.
-- COLLATE "C" compares bytes, so that the order is the same on each server.
CREATE TABLE countersign.database (
  -- Marks the database as ours.
  application text NOT NULL,
  schema_version bigint NOT NULL,
  -- The oldest schema version whose binaries can use this schema. One row.
  compatible_version bigint NOT NULL
);
INSERT INTO countersign.database (application, schema_version, compatible_version)
  VALUES ('countersign-issuer', 0, 0);

CREATE TABLE countersign.users (
  id text COLLATE "C" PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  scope text NOT NULL,
  password_hash text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  locked boolean NOT NULL
);

CREATE TABLE countersign.clients (
  id text COLLATE "C" PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  scope text NOT NULL,
  -- SHA-256 is enough: the secret is 32 random bytes and cannot be guessed.
  secret_hash bytea NOT NULL,
  locked boolean NOT NULL,
  created_at bigint NOT NULL
);

CREATE TABLE countersign.sessions (
  id bytea PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL REFERENCES countersign.users (id) ON DELETE CASCADE,
  client_id text NOT NULL,
  scope text NOT NULL,
  counter bigint NOT NULL,
  created_at bigint NOT NULL,
  rotated_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  revoked boolean NOT NULL,
  -- The random number of the refresh that last moved the counter.
  rotation bytea,
  -- The session's status index. Both are null if the session was opened without one.
  status_list bigint,
  status_index bigint
);
CREATE INDEX sessions_by_user ON countersign.sessions (user_id);
CREATE INDEX sessions_by_expiry ON countersign.sessions (expires_at);
CREATE UNIQUE INDEX sessions_by_status ON countersign.sessions (status_list, status_index)
  WHERE status_list IS NOT NULL;
-- A status list is made from this index alone.
CREATE INDEX sessions_ended ON countersign.sessions (status_list, expires_at, status_index)
  WHERE status_list IS NOT NULL AND revoked;

CREATE TABLE countersign.login_failures (
  -- HMAC-SHA256, so that nobody can read the names that somebody tried.
  counter bytea PRIMARY KEY,
  failures bigint NOT NULL,
  blocked_until bigint NOT NULL,
  last_at bigint NOT NULL,
  -- The random id of the last attempt that was counted.
  attempt bytea NOT NULL
);
CREATE INDEX login_failures_by_time ON countersign.login_failures (last_at);

CREATE TABLE countersign.keys (
  kid text COLLATE "C" PRIMARY KEY,
  bits integer NOT NULL,
  n text NOT NULL,
  e text NOT NULL,
  sealed bytea NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('published', 'active', 'retiring')),
  published_at bigint NOT NULL,
  activates_at bigint,
  retired_at bigint,
  drops_at bigint
);
-- At most one key signs, and at most one is next.
CREATE UNIQUE INDEX keys_in_use ON countersign.keys (state) WHERE state <> 'retiring';

CREATE TABLE countersign.secrets (
  name text COLLATE "C" PRIMARY KEY,
  -- Sealed under the master key, with the name as associated data.
  sealed bytea NOT NULL
);

-- The latest time that an issuer saw. One row.
CREATE TABLE countersign.clock (
  id integer PRIMARY KEY CHECK (id = 1),
  latest bigint NOT NULL
);

CREATE TABLE countersign.audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at bigint NOT NULL,
  event text NOT NULL,
  -- The id of a user or a client, the id of a session in hexadecimal, or a kid.
  subject text NOT NULL
);
