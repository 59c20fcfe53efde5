-- The latest time that an issuer saw.
CREATE TABLE countersign.clock (
  id smallint PRIMARY KEY CHECK (id = 1),
  latest bigint NOT NULL
);
