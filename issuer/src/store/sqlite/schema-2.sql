-- Version 2: the repetitions that the audit log has, the sessions of a user by age, and the number
-- of a user's passwords.

-- The counter of the last refresh whose repetition is in the audit log.
ALTER TABLE sessions ADD COLUMN repeat_audited INTEGER;
DROP INDEX sessions_by_user;
CREATE INDEX sessions_by_user ON sessions (user_id, revoked, created_at);

-- Counts the changes of the password.
ALTER TABLE users ADD COLUMN password_version INTEGER NOT NULL DEFAULT 0;
