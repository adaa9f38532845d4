-- What became of the messages, destination by destination. Written by delivery alone.
-- Positions are packed sets of message numbers (positions.py); first_seq and last_seq bound them.

-- Everything up to `seq` is settled for the destination.
CREATE TABLE cursor (
    destination INTEGER PRIMARY KEY,
    seq         INTEGER NOT NULL
) STRICT;

-- Whether the destination is delivering, failing or refusing; absent while it has always been delivering.
CREATE TABLE breaker (
    destination INTEGER PRIMARY KEY,
    state       TEXT    NOT NULL
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
CREATE INDEX attempt_by_seq ON attempt (destination, last_seq);

-- An outcome and the messages that have it. A later row for the same message wins.
CREATE TABLE settled (
    id          INTEGER PRIMARY KEY,
    destination INTEGER NOT NULL,
    outcome     TEXT    NOT NULL CHECK (outcome IN ('delivered', 'discarded', 'failed')),
    reason      TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    attempt_id  INTEGER,
    n           INTEGER NOT NULL,
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    positions   BLOB    NOT NULL
) STRICT;
CREATE INDEX settled_by_seq ON settled (destination, last_seq);

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
    attempt_id  INTEGER PRIMARY KEY,
    scope       TEXT    NOT NULL,
    ended_at_ms INTEGER NOT NULL,
    rows        BLOB    NOT NULL
) STRICT;

-- Failed messages with their own bytes: they outlive the log.
CREATE TABLE dead_letter (
    id          INTEGER PRIMARY KEY,
    destination INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    message_id  TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    attempt_id  INTEGER,
    row         BLOB    NOT NULL
) STRICT;
CREATE INDEX dead_letter_by_message ON dead_letter (message_id);
