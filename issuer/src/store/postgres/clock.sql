-- The latest time that an issuer saw.
CREATE TABLE countersign.clock (
  id integer PRIMARY KEY CHECK (id = 1),
  latest bigint NOT NULL
);
