-- Version 2: the repetitions that the audit log has, and the sessions of a user by age.

-- The counter of the last refresh whose repetition is in the audit log.
ALTER TABLE countersign.sessions ADD COLUMN repeat_audited bigint;
DROP INDEX countersign.sessions_by_user;
CREATE INDEX sessions_by_user ON countersign.sessions (user_id, revoked, created_at);
