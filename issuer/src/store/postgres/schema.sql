-- Texts are compared byte by byte, so that their order is the same on each server.
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
  -- SHA-256: the secret is 32 random bytes, so that nobody can try them all.
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
  -- A random number of the refresh that last moved the counter.
  rotation bytea
);
CREATE INDEX sessions_by_user ON countersign.sessions (user_id);
CREATE INDEX sessions_by_expiry ON countersign.sessions (expires_at);

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
-- One key signs, and one is next.
CREATE UNIQUE INDEX keys_in_use ON countersign.keys (state) WHERE state <> 'retiring';

CREATE TABLE countersign.audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at bigint NOT NULL,
  event text NOT NULL,
  -- The user's id, the session's id in hexadecimal, or the key's kid.
  subject text NOT NULL
);
