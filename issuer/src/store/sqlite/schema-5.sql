-- Version 5: accounts. Claims, audiences, more about sessions, second factors, one-time tokens.

-- Claims of one's own: a JSON object, or empty if there is none.
ALTER TABLE users ADD COLUMN claims TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN claims TEXT NOT NULL DEFAULT '';
-- The audiences that a client may ask for besides the default one, separated by spaces (RFC 8707).
ALTER TABLE clients ADD COLUMN audiences TEXT NOT NULL DEFAULT '';

-- The time of the last authentication; null in sessions of older versions: that of the login.
ALTER TABLE sessions ADD COLUMN authenticated_at INTEGER;
-- The methods of the authentication, separated by spaces (RFC 8176).
ALTER TABLE sessions ADD COLUMN methods TEXT NOT NULL DEFAULT 'pwd';
-- The network and the program of the login, as they are shown to the user. Null if they are unknown.
ALTER TABLE sessions ADD COLUMN network TEXT;
ALTER TABLE sessions ADD COLUMN user_agent TEXT;

CREATE TABLE one_time_tokens (
  -- SHA-256 is enough: the token is 32 random bytes and cannot be guessed.
  hash BLOB PRIMARY KEY,
  purpose TEXT NOT NULL,
  user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
  data BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- The random id of the request that used the token; null if nobody has.
  used_by BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_tokens_by_user ON one_time_tokens (user_id, purpose, created_at);
CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);

CREATE TABLE totps (
  user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  -- The secret, sealed under the master key.
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  -- Null until the user has shown a code.
  confirmed_at INTEGER,
  -- The time step of the last code that was used. Codes of it and of earlier steps are refused.
  last_step INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
  hash BLOB PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- The random id of the request that used the code; null if nobody has.
  used_by BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_by_user ON recovery_codes (user_id);

CREATE TABLE passkeys (
  -- The credential id.
  id BLOB PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  -- The public key and the state of the authenticator.
  credential BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_by_user ON passkeys (user_id);

CREATE TABLE idempotency (
  -- A hash of the client and its Idempotency-Key.
  key BLOB PRIMARY KEY,
  -- A hash of the request.
  request BLOB NOT NULL,
  -- The answer, sealed under the master key.
  answer BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_time ON idempotency (created_at);

-- The id of the client that made the change through the Admin API. Null if there is none.
ALTER TABLE audit ADD COLUMN actor TEXT;
