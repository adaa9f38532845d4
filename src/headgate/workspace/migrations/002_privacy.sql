CREATE TABLE suppressed (
  user_id TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE suppression_changes (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  user_id TEXT NOT NULL,
  suppressed INTEGER NOT NULL CHECK (suppressed IN (0, 1))
) STRICT;

CREATE INDEX suppression_changes_by_user ON suppression_changes (user_id);

CREATE TABLE deletions (
  id INTEGER PRIMARY KEY,
  user_id TEXT NOT NULL,
  asked_at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  cutoff_seq INTEGER,
  facts_erased_at_ms INTEGER,
  log_erased_at_ms INTEGER
) STRICT;

CREATE INDEX deletions_open ON deletions (id) WHERE log_erased_at_ms IS NULL;

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
