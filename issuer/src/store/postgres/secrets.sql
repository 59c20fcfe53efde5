-- Sealed under the master key, with the name as associated data.
CREATE TABLE countersign.secrets (
  name text COLLATE "C" PRIMARY KEY,
  sealed bytea NOT NULL
);
