CREATE TABLE login_failures (
  -- HMAC-SHA256: names that somebody tried are not to be read here.
  counter BLOB PRIMARY KEY,
  failures INTEGER NOT NULL,
  blocked_until INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  -- The random number of the attempt that was counted last.
  attempt BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_failures_by_time ON login_failures (last_at);
