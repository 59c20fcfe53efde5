-- Version 5: accounts. Claims, audiences, more about sessions, second factors, one-time tokens.

-- Claims of one's own: a JSON object, or empty if there is none.
ALTER TABLE countersign.users ADD COLUMN claims text NOT NULL DEFAULT '';
ALTER TABLE countersign.clients ADD COLUMN claims text NOT NULL DEFAULT '';
-- The audiences that a client may ask for besides the default one, separated by spaces (RFC 8707).
ALTER TABLE countersign.clients ADD COLUMN audiences text NOT NULL DEFAULT '';

-- The time of the last authentication; null in sessions of older versions: that of the login.
ALTER TABLE countersign.sessions ADD COLUMN authenticated_at bigint;
-- The methods of the authentication, separated by spaces (RFC 8176).
ALTER TABLE countersign.sessions ADD COLUMN methods text NOT NULL DEFAULT 'pwd';
-- The network and the program of the login, as they are shown to the user. Null if they are unknown.
ALTER TABLE countersign.sessions ADD COLUMN network text;
ALTER TABLE countersign.sessions ADD COLUMN user_agent text;

CREATE TABLE countersign.one_time_tokens (
  -- SHA-256 is enough: the token is 32 random bytes and cannot be guessed.
  hash bytea PRIMARY KEY,
  purpose text NOT NULL,
  user_id text COLLATE "C" REFERENCES countersign.users (id) ON DELETE CASCADE,
  data bytea NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  -- The random id of the request that used the token; null if nobody has.
  used_by bytea
);
CREATE INDEX one_time_tokens_by_user ON countersign.one_time_tokens (user_id, purpose, created_at);
CREATE INDEX one_time_tokens_by_expiry ON countersign.one_time_tokens (expires_at);

CREATE TABLE countersign.totps (
  user_id text COLLATE "C" PRIMARY KEY REFERENCES countersign.users (id) ON DELETE CASCADE,
  -- The secret, sealed under the master key.
  sealed bytea NOT NULL,
  created_at bigint NOT NULL,
  -- Null until the user has shown a code.
  confirmed_at bigint,
  -- The time step of the last code that was used. Codes of it and of earlier steps are refused.
  last_step bigint NOT NULL
);

CREATE TABLE countersign.recovery_codes (
  hash bytea PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL REFERENCES countersign.users (id) ON DELETE CASCADE,
  -- The random id of the request that used the code; null if nobody has.
  used_by bytea
);
CREATE INDEX recovery_codes_by_user ON countersign.recovery_codes (user_id);

CREATE TABLE countersign.passkeys (
  -- The credential id.
  id bytea PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL REFERENCES countersign.users (id) ON DELETE CASCADE,
  name text NOT NULL,
  -- The public key and the state of the authenticator.
  credential bytea NOT NULL,
  created_at bigint NOT NULL,
  used_at bigint
);
CREATE INDEX passkeys_by_user ON countersign.passkeys (user_id);

CREATE TABLE countersign.idempotency (
  -- A hash of the client and its Idempotency-Key.
  key bytea PRIMARY KEY,
  -- A hash of the request.
  request bytea NOT NULL,
  -- The answer, sealed under the master key.
  answer bytea NOT NULL,
  created_at bigint NOT NULL
);
CREATE INDEX idempotency_by_time ON countersign.idempotency (created_at);

-- The id of the client that made the change through the Admin API. Null if there is none.
ALTER TABLE countersign.audit ADD COLUMN actor text COLLATE "C";
