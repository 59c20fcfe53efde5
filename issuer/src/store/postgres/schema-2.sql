-- Version 2: the repetitions that the audit log has, the sessions of a user by age, and the number
-- of a user's passwords.

-- The counter of the last refresh whose repetition is in the audit log.
ALTER TABLE countersign.sessions ADD COLUMN repeat_audited bigint;
DROP INDEX countersign.sessions_by_user;
CREATE INDEX sessions_by_user ON countersign.sessions (user_id, revoked, created_at);

-- Counts the changes of the password.
ALTER TABLE countersign.users ADD COLUMN password_version bigint NOT NULL DEFAULT 0;
