"""Archiving: `python -m headgate.engage.history.archiving DATA_DIR` writes what history lacks into parts.

Started by Engage now and then. Prints {"archived_to": N}: every message up to the N-th that belongs to
somebody is in a part and durable, so that the store need not remember its profile; 0 when there was none.
Whenever it dies, the next run goes on.
"""

import gc
import os
import sys
from collections import defaultdict
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import msgspec

from headgate.engage.batch import Assigned
from headgate.engage.history.duck import database, load, write_part
from headgate.engage.history.merging import merge_small_parts
from headgate.engage.history.parts import (
    archived_by_day,
    engage_store,
    history_directory,
    new_part,
    parts_in,
    tidy,
    writing,
)
from headgate.engage.history.rows import Row, columns_of
from headgate.engage.history.tail import batches_in_turn, end_of, rows_of
from headgate.engage.reader import EngageReader
from headgate.eventlog.interface import LogReader
from headgate.eventlog.sqlite import sqlite_reader

_MESSAGES_AT_ONCE = 25_000
_WRITER_TIMEOUT_S = 60.0


def archive(data_dir: Path) -> int:
    """Archives everything that is assigned; the number up to which that is.

    Raises Locked when another process writes history all the while.
    """
    directory = history_directory(data_dir)
    with writing(directory, _WRITER_TIMEOUT_S):
        tidy(directory)
        with database(directory) as connection:
            archived_to = archive_assigned(connection, data_dir)
            merge_small_parts(connection, directory)
    return archived_to


def archive_assigned(connection: duckdb.DuckDBPyConnection, data_dir: Path) -> int:
    """The same, with `writing` held already, and nothing merged."""
    archived_to = 0
    with (
        closing(EngageReader(engage_store(data_dir))) as store,
        closing(sqlite_reader(data_dir / "log")) as log,
    ):
        for batches in batches_in_turn(store, _MESSAGES_AT_ONCE):
            _archive(connection, history_directory(data_dir), log, batches)
            archived_to = end_of(batches[-1])
    return archived_to


def _archive(
    connection: duckdb.DuckDBPyConnection,
    directory: Path,
    log: LogReader,
    batches: list[Assigned],
) -> None:
    by_day: dict[str, list[Row]] = defaultdict(list)
    for day, row in rows_of(log, batches, archived_by_day(parts_in(directory))):
        by_day[day].append(row)
    for day, rows in by_day.items():
        load(connection, "arrived", columns_of(rows))
        with new_part(directory, day, rows[0][0], rows[-1][0]) as unfinished:
            write_part(connection, "arrived", unfinished)
        connection.execute("DROP TABLE arrived").fetchall()


def main() -> None:
    """What Engage starts: DATA_DIR."""
    gc.disable()  # it would look again and again at rows that are all needed until they are written
    (data_dir,) = sys.argv[1:]
    answer = {"archived_to": archive(Path(data_dir))}
    with suppress(BrokenPipeError):  # whoever asked has died, and asks again
        os.write(1, msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    main()
