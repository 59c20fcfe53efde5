-- The session's place in the status lists.
ALTER TABLE sessions ADD COLUMN status_list INTEGER;
ALTER TABLE sessions ADD COLUMN status_index INTEGER;
CREATE UNIQUE INDEX sessions_by_status ON sessions (status_list, status_index)
  WHERE status_list IS NOT NULL;
-- All that a list is made from.
CREATE INDEX sessions_ended ON sessions (status_list, expires_at, status_index)
  WHERE status_list IS NOT NULL AND revoked = 1;
