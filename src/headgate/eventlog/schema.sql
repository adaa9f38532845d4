-- One segment of the event log. Blocks are appended and never changed; see block.py for what they hold.
CREATE TABLE block (
    first_seq      INTEGER PRIMARY KEY,
    n              INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    format         INTEGER NOT NULL,
    prev_crc       INTEGER NOT NULL,
    crc            INTEGER NOT NULL,
    columns        BLOB    NOT NULL,
    payload        BLOB    NOT NULL
) STRICT;

-- One row, written only to find out whether the disk takes writes again after a failure.
CREATE TABLE probe (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    times    INTEGER NOT NULL
) STRICT;
INSERT INTO probe VALUES (1, 0);
