-- Version 4: the user, the network and the number of the events of an audit entry.

-- Both are null in entries of older versions, and if there is no user or no request.
ALTER TABLE audit ADD COLUMN user_id TEXT;
-- A keyed hash of the network, or its address.
ALTER TABLE audit ADD COLUMN network TEXT;
ALTER TABLE audit ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
