CREATE TABLE countersign.login_failures (
  -- HMAC-SHA256: names that somebody tried are not to be read here.
  counter bytea PRIMARY KEY,
  failures bigint NOT NULL,
  blocked_until bigint NOT NULL,
  last_at bigint NOT NULL,
  -- The random number of the attempt that was counted last.
  attempt bytea NOT NULL
);
CREATE INDEX login_failures_by_time ON countersign.login_failures (last_at);
