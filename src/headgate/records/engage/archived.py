"""Messages of the archive: `python -m headgate.records.engage.archived DATA_DIR`, a question in, rows out.

A short-lived process, since DuckDB is large and the server's processes never import it. It reads an `Asked`
as JSON from stdin and writes a list of `Row` to stdout.
"""

import sys
from pathlib import Path

import msgspec

from headgate.engage.observed import Observed


class Asked(msgspec.Struct, frozen=True):
    """Messages of these profiles, of `since_ms` or later by their own time, with these names if any are given.

    With `newest`, only so many of each profile and name.
    """

    profiles: list[int]
    since_ms: int
    names: list[str] | None
    newest: int | None = None

    def fits(self, observed: Observed) -> bool:
        """Whether a message of one of the profiles is asked for."""
        return observed.at_ms >= self.since_ms and (
            self.names is None or observed.name in self.names
        )


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A message as the archive has it; objects are JSON."""

    profile: int
    seq: int
    at_ms: int
    received_at_ms: int
    message_id: str
    source: str
    name: str
    properties: str
    context: str
    traits: str
    identifiers: str


def rows(data_dir: Path, asked: Asked) -> list[tuple[object, ...]]:
    """The rows that are asked for, in no order."""
    from contextlib import closing

    from headgate.engage.history.duck import connect, parts_sql
    from headgate.engage.history.parts import history_directory, parts_in, reading

    directory = history_directory(data_dir)
    with reading(directory), closing(connect()) as connection:
        parts = [part.path for part in parts_in(directory)]
        if not parts:
            return []
        wanted = f"profile IN (SELECT unnest(?)) AND at_ms >= ?{_named(asked)}{_newest(asked)}"
        columns = ", ".join(Row.__struct_fields__)
        given = [asked.profiles, asked.since_ms, *([asked.names] if asked.names else [])]
        given += [asked.newest] if asked.newest else []
        query = f"SELECT {columns} FROM {parts_sql(parts)} WHERE {wanted}"
        return connection.execute(query, given).fetchall()


def _named(asked: Asked) -> str:
    return " AND name IN (SELECT unnest(?))" if asked.names else ""


def _newest(asked: Asked) -> str:
    within = "(PARTITION BY profile, name ORDER BY at_ms DESC, seq DESC)"
    return f" QUALIFY row_number() OVER {within} <= ?" if asked.newest else ""


def main() -> None:
    """What readers start: DATA_DIR."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    sys.stdout.buffer.write(msgspec.json.encode(rows(Path(sys.argv[1]), asked)))


if __name__ == "__main__":
    main()
