-- What became of the messages, destination by destination: the sum of migrations/, for reading; a test
-- keeps both equal. Written by delivery alone. Positions are packed sets of message numbers
-- (positions.py); first_seq and last_seq bound them.

-- Everything up to `seq` is settled for the destination, replays apart.
CREATE TABLE cursor (
    destination INTEGER PRIMARY KEY,
    seq         INTEGER NOT NULL
) STRICT;

-- Whether the destination is delivering, failing or refusing, why, and since when; absent while it has
-- always been delivering.
CREATE TABLE standing (
    destination INTEGER PRIMARY KEY,
    state       TEXT    NOT NULL,
    trouble     TEXT    NOT NULL,
    since_ms    INTEGER NOT NULL
) STRICT;

-- One request as sent, and what came back.
CREATE TABLE attempt (
    id            INTEGER PRIMARY KEY,
    destination   INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER NOT NULL,
    url           TEXT    NOT NULL,
    status        INTEGER NOT NULL,
    error         TEXT    NOT NULL,
    answer        BLOB    NOT NULL,
    request       BLOB    NOT NULL,
    n             INTEGER NOT NULL,
    first_seq     INTEGER NOT NULL,
    last_seq      INTEGER NOT NULL,
    positions     BLOB    NOT NULL
) STRICT;
CREATE INDEX attempt_by_seq ON attempt (destination, last_seq, first_seq);

-- An outcome and the messages that have it; `replayed` takes the earlier one back: they are pending
-- again. A later row for the same message wins.
CREATE TABLE settled (
    id          INTEGER PRIMARY KEY,
    destination INTEGER NOT NULL,
    outcome     TEXT    NOT NULL
        CHECK (outcome IN ('delivered', 'discarded', 'failed', 'replayed')),
    reason      TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    attempt_id  INTEGER,
    n           INTEGER NOT NULL,
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    positions   BLOB    NOT NULL
) STRICT;
CREATE INDEX settled_by_seq ON settled (destination, last_seq, first_seq);
CREATE INDEX settled_by_reason ON settled (destination, outcome, reason, at_ms);

-- How often an outcome was recorded, and how many messages have it now. They differ by what was replayed.
CREATE TABLE tally (
    destination INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    recorded    INTEGER NOT NULL,
    standing    INTEGER NOT NULL,
    PRIMARY KEY (destination, outcome, reason)
) STRICT, WITHOUT ROWID;

-- Messages that were tried and will be tried again. A later row for the same message wins.
CREATE TABLE waiting (
    id               INTEGER PRIMARY KEY,
    destination      INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    first_attempt_ms INTEGER NOT NULL,
    due_at_ms        INTEGER NOT NULL,
    first_seq        INTEGER NOT NULL,
    last_seq         INTEGER NOT NULL,
    positions        BLOB    NOT NULL
) STRICT;
CREATE INDEX waiting_by_seq ON waiting (destination, last_seq);

-- Rows by user (msgpack) that an attempt took out of a budget; they count until 61 s after `ended_at_ms`,
-- which is the latest possible moment while the attempt is under way.
CREATE TABLE spending (
    attempt_id      INTEGER PRIMARY KEY,
    scope           TEXT    NOT NULL,
    ended_at_ms     INTEGER NOT NULL,
    rows            BLOB    NOT NULL,
    writes_profiles INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Failed messages with their own bytes, which outlive the log: the row as it was sent last, and the
-- message with its envelope, to be mapped anew (empty when an older Headgate recorded it).
CREATE TABLE dead_letter (
    destination INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    message_id  TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    attempt_id  INTEGER,
    row         BLOB    NOT NULL,
    message     BLOB    NOT NULL,
    PRIMARY KEY (destination, seq)
) STRICT;
CREATE INDEX dead_letter_by_message ON dead_letter (message_id);
CREATE INDEX dead_letter_by_user ON dead_letter (user_id);

-- What people asked to have sent again, one row per destination; `messages` (replays.py) is emptied at
-- the end. A name is recorded once, however often it is asked for.
CREATE TABLE replay (
    name        TEXT    NOT NULL,
    destination INTEGER NOT NULL,
    asked_at_ms INTEGER NOT NULL,
    criteria    TEXT    NOT NULL,
    total       INTEGER NOT NULL,
    settled     INTEGER NOT NULL,
    ended_at_ms INTEGER,
    messages    BLOB    NOT NULL,
    PRIMARY KEY (name, destination)
) STRICT;

-- One row: up to which message, and up to which row of `settled`, the three tables below are counted.
CREATE TABLE counted (
    seq        INTEGER NOT NULL,
    settled_id INTEGER NOT NULL
) STRICT;
INSERT INTO counted VALUES (0, 0);

-- Messages of one segment that stand one behind the other and were received within the same minute, up to
-- the next run. Of a lost one, nobody can read any; its minute is that of the run before.
CREATE TABLE run (
    first_seq INTEGER PRIMARY KEY,
    minute_ms INTEGER NOT NULL,
    is_lost   INTEGER NOT NULL
) STRICT;
CREATE INDEX run_by_minute ON run (minute_ms);

-- How many messages of a run a source sent, and under which version of the workspace: who owed them an
-- outcome.
CREATE TABLE received_count (
    run               INTEGER NOT NULL,
    workspace_version INTEGER NOT NULL,
    source            TEXT    NOT NULL,
    n                 INTEGER NOT NULL,
    PRIMARY KEY (run, workspace_version, source)
) STRICT, WITHOUT ROWID;

-- How many messages of a run have an outcome now.
CREATE TABLE outcome_count (
    run         INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (run, destination, outcome, reason)
) STRICT, WITHOUT ROWID;

-- What Engage said and a destination will not get; Engage reads on from the last one it knows of.
CREATE TABLE untold (
    id  INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL
) STRICT;
