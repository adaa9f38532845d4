-- Counts by the minute in which messages were received; those by the minute of the outcome go.

DROP TABLE outcome_count;
CREATE TABLE counted (
    seq        INTEGER NOT NULL,
    settled_id INTEGER NOT NULL
) STRICT;
INSERT INTO counted VALUES (0, 0);
CREATE TABLE run (
    first_seq INTEGER PRIMARY KEY,
    minute_ms INTEGER NOT NULL,
    is_lost   INTEGER NOT NULL
) STRICT;
CREATE INDEX run_by_minute ON run (minute_ms);
CREATE TABLE received_count (
    run               INTEGER NOT NULL,
    workspace_version INTEGER NOT NULL,
    source            TEXT    NOT NULL,
    n                 INTEGER NOT NULL,
    PRIMARY KEY (run, workspace_version, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE outcome_count (
    run         INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (run, destination, outcome, reason)
) STRICT, WITHOUT ROWID;
