-- One segment of the event log, version 1 (0 in segments that were written before versions were).
-- Blocks are appended and never changed; see block.py for what they hold.
PRAGMA user_version = 1;

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

-- One row in a sealed segment, none in others; see block.py, `Seal`.
CREATE TABLE seal (
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    prev_crc  INTEGER NOT NULL,
    end_crc   INTEGER NOT NULL,
    inner_crc INTEGER NOT NULL
) STRICT;
