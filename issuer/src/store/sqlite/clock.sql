-- The latest time that an issuer saw.
CREATE TABLE clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  latest INTEGER NOT NULL
) STRICT;
