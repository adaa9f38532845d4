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

-- Whose messages are refused at the door and withheld from destinations now.
CREATE TABLE suppressed (
  user_id TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every change of that list; the highest id tells whether the list has changed.
CREATE TABLE suppression_changes (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  user_id TEXT NOT NULL,
  suppressed INTEGER NOT NULL CHECK (suppressed IN (0, 1))
) STRICT;

CREATE INDEX suppression_changes_by_user ON suppression_changes (user_id);

-- Users to be forgotten, and how far that has come here. NULL: not yet.
CREATE TABLE deletions (
  id INTEGER PRIMARY KEY,
  user_id TEXT NOT NULL,
  asked_at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  cutoff_seq INTEGER,
  facts_erased_at_ms INTEGER,
  log_erased_at_ms INTEGER
, engage_erased_at_ms INTEGER, history_erased_at_ms INTEGER) STRICT;

CREATE INDEX deletions_open ON deletions (id) WHERE log_erased_at_ms IS NULL;

CREATE INDEX deletions_in_engage ON deletions (id) WHERE history_erased_at_ms IS NULL;

-- What became of a deletion at one destination account: `scope` names it, for Heap the App ID.
CREATE TABLE remote_deletions (
  deletion_id INTEGER NOT NULL REFERENCES deletions,
  scope TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('no key', 'asking', 'pending', 'complete', 'failed')),
  at_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  answer TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  failing_since_ms INTEGER NOT NULL,
  due_at_ms INTEGER NOT NULL,
  PRIMARY KEY (deletion_id, scope)
) STRICT, WITHOUT ROWID;

CREATE INDEX remote_deletions_open ON remote_deletions (deletion_id)
WHERE state IN ('no key', 'asking', 'pending');

-- Who signs in to the app; `folded` is the name without case, `password` an argon2 hash.
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  folded TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
  password TEXT NOT NULL,
  made_at_ms INTEGER NOT NULL
) STRICT;

-- One-time links: each makes an account, or gives the one that it names a new password. `code` is kept for
-- the link that makes the first owner alone, which is printed at every start until it is used.
CREATE TABLE links (
  hash BLOB PRIMARY KEY,
  code TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
  account INTEGER REFERENCES accounts,
  ends_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Who is signed in, by the SHA-256 of what the browser's cookie says.
CREATE TABLE sessions (
  hash BLOB PRIMARY KEY,
  account INTEGER NOT NULL REFERENCES accounts,
  agent TEXT NOT NULL,
  made_at_ms INTEGER NOT NULL,
  used_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_account ON sessions (account);

-- What programs ask the API with, by the SHA-256 of the token.
CREATE TABLE tokens (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('read', 'write')),
  made_by TEXT NOT NULL,
  made_at_ms INTEGER NOT NULL,
  used_at_ms INTEGER,
  used_from TEXT NOT NULL
) STRICT;

-- Every change of accounts, sessions and tokens; those of the workspace itself are its versions.
CREATE TABLE access_changes (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  what TEXT NOT NULL,
  subject TEXT NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL
) STRICT;

CREATE INDEX access_changes_by_time ON access_changes (at_ms);
