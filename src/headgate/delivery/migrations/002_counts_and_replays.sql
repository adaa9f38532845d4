-- Counters, replays, what a destination's trouble is, and dead letters that can be mapped again.

ALTER TABLE spending ADD COLUMN writes_profiles INTEGER NOT NULL DEFAULT 0;
CREATE TABLE outcome_count (
    minute_ms   INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (minute_ms, destination, outcome, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO outcome_count
    SELECT at_ms - at_ms % 60000, destination, outcome, reason, sum(n) FROM settled
    GROUP BY 1, 2, 3, 4;
CREATE TABLE tally (
    destination INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    recorded    INTEGER NOT NULL,
    standing    INTEGER NOT NULL,
    PRIMARY KEY (destination, outcome, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO tally
    SELECT destination, outcome, reason, sum(n), sum(n) FROM settled GROUP BY 1, 2, 3;
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
CREATE TABLE standing (
    destination INTEGER PRIMARY KEY,
    state       TEXT    NOT NULL,
    trouble     TEXT    NOT NULL,
    since_ms    INTEGER NOT NULL
) STRICT;
INSERT INTO standing SELECT destination, state, '', 0 FROM breaker;
DROP TABLE breaker;
CREATE TABLE settled_anew (
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
INSERT INTO settled_anew SELECT * FROM settled;
DROP TABLE settled;
ALTER TABLE settled_anew RENAME TO settled;
CREATE INDEX settled_by_seq ON settled (destination, last_seq, first_seq);
CREATE INDEX settled_by_reason ON settled (destination, outcome, reason, at_ms);
DROP INDEX attempt_by_seq;
CREATE INDEX attempt_by_seq ON attempt (destination, last_seq, first_seq);
CREATE TABLE dead_letter_anew (
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
INSERT OR REPLACE INTO dead_letter_anew
    SELECT destination, seq, message_id, user_id, reason, at_ms, attempt_id, row, x''
    FROM dead_letter ORDER BY id;
DROP TABLE dead_letter;
ALTER TABLE dead_letter_anew RENAME TO dead_letter;
CREATE INDEX dead_letter_by_message ON dead_letter (message_id);
CREATE INDEX dead_letter_by_user ON dead_letter (user_id);
