-- The session's place in the status lists.
ALTER TABLE countersign.sessions ADD COLUMN status_list bigint, ADD COLUMN status_index bigint;
CREATE UNIQUE INDEX sessions_by_status ON countersign.sessions (status_list, status_index)
  WHERE status_list IS NOT NULL;
-- All that a list is made from.
CREATE INDEX sessions_ended ON countersign.sessions (status_list, expires_at, status_index)
  WHERE status_list IS NOT NULL AND revoked;
