-- What Engage knows: the sum of migrations/, for reading; a test keeps both equal. Written by Engage
-- alone, a batch of messages in one transaction.

-- How far the log was read, the time it was evaluated at, and the last number given to a profile.
CREATE TABLE position (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    seq          INTEGER NOT NULL,
    clock_ms     INTEGER NOT NULL,
    last_profile INTEGER NOT NULL
) STRICT;

-- A person as one record (profile.py, msgpack). Nothing of it changes by itself before `due_at_ms`, which
-- may stand earlier than needed and never later: it is left alone when the true instant moves away.
CREATE TABLE profile (
    id        INTEGER PRIMARY KEY,
    due_at_ms INTEGER,
    record    BLOB    NOT NULL
) STRICT;
CREATE INDEX profile_by_due ON profile (due_at_ms) WHERE due_at_ms IS NOT NULL;

-- Who has an identifier; the key is `type:value`.
CREATE TABLE identifier (
    key     TEXT    PRIMARY KEY,
    profile INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Profiles that are part of another one now, which itself is not: history names them by their old numbers.
CREATE TABLE merged (
    id      INTEGER PRIMARY KEY,
    into_id INTEGER NOT NULL
) STRICT;
CREATE INDEX merged_by_into ON merged (into_id);

-- Every computation there ever was; those that were removed stay, so that their keys are not used again.
CREATE TABLE computation (
    number  INTEGER PRIMARY KEY,
    key     TEXT    NOT NULL UNIQUE,
    kind    TEXT    NOT NULL,
    record  BLOB    NOT NULL
) STRICT;

-- The numbers that stand for leaves in the profiles' records.
CREATE TABLE leaf (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    text   TEXT    NOT NULL UNIQUE
) STRICT;

-- Identify messages that the log has not taken over yet. Numbers are never used twice. Nobody waits for those
-- that stand behind: the others go first.
CREATE TABLE outbox (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    message_id  TEXT    NOT NULL,
    raw         BLOB    NOT NULL,
    behind      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_by_turn ON outbox (behind);
CREATE INDEX outbox_behind_by_user ON outbox (user_id) WHERE behind = 1;

-- How many members an audience has, and how many values a trait.
CREATE TABLE size (
    computation INTEGER PRIMARY KEY,
    members     INTEGER NOT NULL
) STRICT;

-- The same at the end of every hour in which it changed.
CREATE TABLE size_history (
    computation INTEGER NOT NULL,
    hour_ms     INTEGER NOT NULL,
    members     INTEGER NOT NULL,
    PRIMARY KEY (computation, hour_ms)
) STRICT, WITHOUT ROWID;

-- What was counted, by name.
CREATE TABLE counter (
    name TEXT    PRIMARY KEY,
    n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The last identifiers that were left out, for people; all of them are counted.
CREATE TABLE violation (
    id         INTEGER PRIMARY KEY,
    kind       TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    message_id TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    value      TEXT    NOT NULL
) STRICT;

-- The profile of each message of a batch (batch.py), until history has it.
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

-- The numbers of people who were forgotten, which stand for nobody for good: history is rid of them, too.
CREATE TABLE forgotten (
    profile INTEGER PRIMARY KEY
) STRICT;

-- Leaves that came later than messages up to `to_seq`, which are to be read from history for them. Those of one
-- job are read together, from a file that is done up to `read_to` bytes.
CREATE TABLE backfill (
    leaf    INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL,
    to_seq  INTEGER NOT NULL,
    read_to INTEGER NOT NULL
) STRICT;

-- Up to where it is known what was told in vain (`headgate/untold.py`).
CREATE TABLE heard (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id  INTEGER NOT NULL
) STRICT;
