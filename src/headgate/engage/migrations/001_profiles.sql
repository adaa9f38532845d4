CREATE TABLE position (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    seq          INTEGER NOT NULL,
    clock_ms     INTEGER NOT NULL,
    last_profile INTEGER NOT NULL
) STRICT;

CREATE TABLE profile (
    id        INTEGER PRIMARY KEY,
    due_at_ms INTEGER,
    record    BLOB    NOT NULL
) STRICT;
CREATE INDEX profile_by_due ON profile (due_at_ms) WHERE due_at_ms IS NOT NULL;

CREATE TABLE identifier (
    key     TEXT    PRIMARY KEY,
    profile INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE merged (
    id      INTEGER PRIMARY KEY,
    into_id INTEGER NOT NULL
) STRICT;
CREATE INDEX merged_by_into ON merged (into_id);

CREATE TABLE computation (
    number  INTEGER PRIMARY KEY,
    key     TEXT    NOT NULL UNIQUE,
    kind    TEXT    NOT NULL,
    record  BLOB    NOT NULL
) STRICT;

CREATE TABLE leaf (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    text   TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE outbox (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    message_id  TEXT    NOT NULL,
    raw         BLOB    NOT NULL
) STRICT;

CREATE TABLE size (
    computation INTEGER PRIMARY KEY,
    members     INTEGER NOT NULL
) STRICT;

CREATE TABLE size_history (
    computation INTEGER NOT NULL,
    hour_ms     INTEGER NOT NULL,
    members     INTEGER NOT NULL,
    PRIMARY KEY (computation, hour_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
    name TEXT    PRIMARY KEY,
    n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE violation (
    id         INTEGER PRIMARY KEY,
    kind       TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    message_id TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    value      TEXT    NOT NULL
) STRICT;

CREATE TABLE assigned (
    first_seq INTEGER PRIMARY KEY,
    n         INTEGER NOT NULL,
    profiles  BLOB    NOT NULL
) STRICT;

-- How far a sweep over everybody has come, while one is under way.
CREATE TABLE sweep (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    after INTEGER NOT NULL
) STRICT;

-- Leaves that came later than messages up to `to_seq`, which are to be read from history for them. Those of one
-- job are read together, from a file that is done up to `read_to` bytes.
CREATE TABLE backfill (
    leaf    INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL,
    to_seq  INTEGER NOT NULL,
    read_to INTEGER NOT NULL
) STRICT;
