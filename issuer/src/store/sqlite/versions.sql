-- One row. The version itself is SQLite's user_version.
CREATE TABLE database (
  -- The oldest version whose binaries work on this schema.
  compatible_version INTEGER NOT NULL
) STRICT;
INSERT INTO database (compatible_version) VALUES (0);
