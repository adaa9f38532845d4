-- What Engage said and a destination will not get.

CREATE TABLE untold (
    id  INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL
) STRICT;
