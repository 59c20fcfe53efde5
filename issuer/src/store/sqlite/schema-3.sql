-- Version 3: the time when a user was last unlocked.

-- Failed logins before it are not counted any more. 0 if the user was never unlocked.
ALTER TABLE users ADD COLUMN unlocked_at INTEGER NOT NULL DEFAULT 0;
