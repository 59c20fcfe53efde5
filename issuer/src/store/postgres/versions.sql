-- The oldest version whose binaries work on this schema.
ALTER TABLE countersign.database ADD COLUMN compatible_version bigint NOT NULL DEFAULT 0;
