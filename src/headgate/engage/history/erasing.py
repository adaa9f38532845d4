"""Erasing: `python -m headgate.engage.history.erasing DATA_DIR`, numbers of profiles as JSON on stdin.

Started when a person was forgotten, with all the numbers that history knows the person by, once nothing more
can be assigned to them. Prints {"erased": messages, "archived_to": N}: what was erased, and how far
archiving has come with it (see `archiving.py`). To be started again when it died.
"""

import sys
from collections.abc import Collection
from pathlib import Path

import duckdb
import msgspec

from headgate.engage.history.archiving import archive_assigned
from headgate.engage.history.duck import database, fetch, parts_sql, write_part
from headgate.engage.history.parts import (
    Part,
    alone,
    history_directory,
    new_part,
    parts_in,
    remove_superseded,
    writing,
)

_WRITER_TIMEOUT_S = 600.0
_READERS_TIMEOUT_S = 600.0


class Erased(msgspec.Struct, frozen=True):
    """How many messages were erased, and the number up to which what is assigned is archived."""

    erased: int
    archived_to: int


def erase(data_dir: Path, profiles: Collection[int]) -> Erased:
    """Rewrites the parts that hold messages of these profiles, without them; durable when it returns.

    What is assigned to them and not archived is archived first, so that it does not come later. Raises
    Locked when somebody writes or reads history all the while; to be tried again.
    """
    directory = history_directory(data_dir)
    with writing(directory, _WRITER_TIMEOUT_S), database(directory) as connection:
        archived_to = archive_assigned(connection, data_dir)
        with alone(directory, _READERS_TIMEOUT_S):
            remove_superseded(directory)
            erased = sum(_rewrite(connection, one, profiles) for one in parts_in(directory))
    return Erased(erased, archived_to)


def _rewrite(connection: duckdb.DuckDBPyConnection, part: Part, profiles: Collection[int]) -> int:
    """How many messages the part had of these profiles; a part stays for its name, even without any."""
    rows, listed = parts_sql([part.path]), ", ".join(str(int(one)) for one in profiles)
    if not listed:
        return 0
    of_them = f"SELECT count(*) FROM {rows} WHERE profile IN ({listed})"
    ((n,),) = fetch(connection, of_them)
    if n:
        directory = part.path.parent.parent
        others = f"(SELECT * FROM {rows} WHERE profile NOT IN ({listed}))"
        with new_part(directory, part.day, part.first, part.last) as unfinished:
            write_part(connection, others, unfinished)
    return int(n)


def main() -> None:
    """What Engage starts: DATA_DIR."""
    (data_dir,) = sys.argv[1:]
    profiles = msgspec.json.decode(sys.stdin.buffer.read(), type=list[int])
    answer = msgspec.json.encode(erase(Path(data_dir), profiles))
    sys.stdout.buffer.write(answer + b"\n")


if __name__ == "__main__":
    main()
