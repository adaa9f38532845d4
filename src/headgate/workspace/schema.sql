-- The workspace store, DIR/workspace.db: the sum of migrations/, for reading; a test keeps both equal.

-- Every version of the workspace that was ever committed, as written (variables unexpanded).
CREATE TABLE versions (
  version INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  document TEXT NOT NULL
) STRICT;

-- One row per stay of a destination: its id lives from the version in which its slug appeared to the
-- last one that had it. A slug that comes back is a new destination with a new id.
CREATE TABLE destinations (
  id INTEGER PRIMARY KEY,
  slug TEXT NOT NULL,
  first_version INTEGER NOT NULL REFERENCES versions,
  last_version INTEGER REFERENCES versions
) STRICT;

CREATE UNIQUE INDEX destinations_present ON destinations (slug) WHERE last_version IS NULL;

-- The digest of the file that serve applied last, in the only row.
CREATE TABLE applied_file (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  digest TEXT NOT NULL
) STRICT;
