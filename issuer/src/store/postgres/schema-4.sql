-- Version 4: the user, the network and the number of the events of an audit entry.

-- Both are null in entries of older versions, and if there is no user or no request.
ALTER TABLE countersign.audit ADD COLUMN user_id text;
-- A keyed hash of the network, or its address.
ALTER TABLE countersign.audit ADD COLUMN network text;
ALTER TABLE countersign.audit ADD COLUMN count bigint NOT NULL DEFAULT 1;
