"""A view of history: parts and tail as one table, as of one moment of Engage's store.

What previews, backfills and the second opinion read, beside a running server or in a stopped directory.
The moment is a snapshot of the store: which messages were assigned to whom, and who was merged into whom.
Parts are not removed while the view is open.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from headgate.engage.batch import Position
from headgate.engage.computation.model import Computation
from headgate.engage.computation.moment import KNOWN_BY
from headgate.engage.history import duck
from headgate.engage.history.computing import compute
from headgate.engage.history.functions import install
from headgate.engage.history.parts import (
    Part,
    UnreadableHistory,
    archived_by_day,
    engage_store,
    history_directory,
    parts_in,
    reading,
)
from headgate.engage.history.rows import TYPES, columns_of
from headgate.engage.history.snapshot import Snapshot
from headgate.engage.history.tail import batches_in_turn, rows_of
from headgate.eventlog.sqlite import sqlite_reader

_TAIL_AT_ONCE = 50_000


class View:
    """History as of a moment. `event` has a row per message, with the profile that it belongs to now."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, store: Snapshot) -> None:
        self._db = connection
        self.store = store
        self.position: Position = store.position()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query over `event`, `profile` and what was added comes to."""
        return duck.fetch(self._db, sql)

    def add_holders(self, table: str, types: Collection[str]) -> None:
        """Adds a table of the profiles that have an identifier of one of these types."""
        self._db.register("columns_given", {"profile": self.store.who_have(types)})
        self.rows(f"CREATE TABLE {table} AS SELECT DISTINCT profile FROM columns_given")
        self._db.unregister("columns_given")

    def add_profiles(self, ids: Any) -> None:
        """Adds the table `profile` with these numbers, instead of everybody's who has a message."""
        self._db.register("columns_given", {"profile": ids})
        self.rows("CREATE TABLE profile AS SELECT profile FROM columns_given")
        self._db.unregister("columns_given")

    def compute(self, computations: Collection[Computation], at_ms: int) -> Mapping[str, str]:
        """As `computing.compute`, for everybody who has a message, unless `add_profiles` said for whom."""
        self.rows("CREATE TABLE IF NOT EXISTS profile AS SELECT DISTINCT profile FROM event")
        if any(not one.include_anonymous for one in computations):
            self.add_holders("known", KNOWN_BY)
        return compute(self._db, computations, at_ms)

    def drop(self, table: str) -> None:
        """Forgets a table that was added."""
        self.rows(f"DROP TABLE {table}")


@contextmanager
def opened(data_dir: Path) -> Iterator[View]:
    """Opens a view for as long as the block lasts. The store has to be there already."""
    directory = history_directory(data_dir)
    with (
        reading(directory),
        closing(Snapshot(engage_store(data_dir))) as store,
        duck.database(directory) as connection,
    ):
        install(connection)
        parts = parts_in(directory)
        with _damage_explained():
            _add_events(connection, parts, store)
            _add_tail(connection, data_dir, parts, store)
            yield View(connection, store)


@contextmanager
def _damage_explained() -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        what = str(error).splitlines()[0]
        raise UnreadableHistory(
            f"history is damaged: {what}. Move the file away: its messages are then missing from"
            " previews, new computations and verify; what was computed stands"
        ) from error


def _add_tail(
    connection: duckdb.DuckDBPyConnection, data_dir: Path, parts: list[Part], store: Snapshot
) -> None:
    archived = archived_by_day(parts)
    with closing(sqlite_reader(data_dir / "log")) as log:
        for batches in batches_in_turn(store, _TAIL_AT_ONCE):
            columns = columns_of(row for _, row in rows_of(log, batches, archived))
            duck.load(connection, "arrived", columns)
            duck.fetch(connection, "INSERT INTO tail SELECT * FROM arrived")
            duck.fetch(connection, "DROP TABLE arrived")


def _add_events(connection: duckdb.DuckDBPyConnection, parts: list[Part], store: Snapshot) -> None:
    """The table `event`; parts may hold messages that the snapshot does not know of yet."""
    typed = ", ".join(f"{name} {type_}" for name, type_ in TYPES.items())
    duck.fetch(connection, f"CREATE TABLE tail ({typed})")
    names = ", ".join(TYPES)
    rows = f"SELECT {names} FROM tail"
    if parts:
        newest = store.position().seq
        known = f" WHERE seq <= {newest}" if any(part.last > newest for part in parts) else ""
        paths = duck.parts_sql(part.path for part in parts)
        rows += f" UNION ALL SELECT {names} FROM {paths}{known}"
    merged = store.merged()
    if merged:
        connection.register(
            "columns_given",
            {
                "id": np.fromiter(merged.keys(), "i8", len(merged)),
                "into_id": np.fromiter(merged.values(), "i8", len(merged)),
            },
        )
        duck.fetch(connection, "CREATE TABLE merged AS SELECT * FROM columns_given")
        connection.unregister("columns_given")
        rows = (
            "SELECT rows.* REPLACE (coalesce(merged.into_id, rows.profile) AS profile)"
            f" FROM ({rows}) rows LEFT JOIN merged ON merged.id = rows.profile"
        )
    duck.fetch(connection, f"CREATE VIEW event AS {rows}")
