CREATE TABLE versions (
  version INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE destinations (
  id INTEGER PRIMARY KEY,
  slug TEXT NOT NULL,
  first_version INTEGER NOT NULL REFERENCES versions,
  last_version INTEGER REFERENCES versions
) STRICT;

CREATE UNIQUE INDEX destinations_present ON destinations (slug) WHERE last_version IS NULL;

CREATE TABLE applied_file (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  digest TEXT NOT NULL
) STRICT;
