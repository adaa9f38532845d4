"""DuckDB as history uses it: in memory, within bounds, for one process that lives shortly.

Results are always fetched: one that is not blocks the next statement of its connection.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from headgate.engage.history.parts import SPILL
from headgate.engage.history.rows import TYPES, Columns

_MEMORY = "500MB"
_THREADS = 2


def connect(spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A database of its own. `spill` is a directory, nobody else's, for what does not fit into memory."""
    config: dict[str, Any] = {
        "memory_limit": _MEMORY,
        "threads": _THREADS,
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if spill is not None:
        config["temp_directory"] = str(spill)
    return duckdb.connect(":memory:", config=config)


@contextmanager
def database(beside: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that spills beside the parts in this directory; elsewhere, if it cannot be written."""
    holder = beside if os.access(beside, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix=SPILL, dir=holder) as spill,
        closing(connect(Path(spill))) as connection,
    ):
        yield connection


def fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Runs a statement and gives its rows."""
    rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
    return rows


def load(connection: duckdb.DuckDBPyConnection, table: str, columns: Columns) -> None:
    """Makes a table of rows of history."""
    connection.register("columns_given", columns)
    typed = ", ".join(f"{name}::{type_} AS {name}" for name, type_ in TYPES.items())
    fetch(connection, f"CREATE TABLE {table} AS SELECT {typed} FROM columns_given")
    connection.unregister("columns_given")


def write_part(connection: duckdb.DuckDBPyConnection, rows: str, path: Path) -> None:
    """Writes the rows of a table or query into a file, as every part is written.

    By name, so that whoever asks for one name's events passes over most groups of rows.
    """
    fetch(
        connection,
        f"COPY (SELECT {', '.join(TYPES)} FROM {rows} ORDER BY name, seq) TO {quoted(str(path))} "
        "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)",
    )


def parts_sql(paths: Iterable[Path]) -> str:
    """The rows of parts, as something to select from."""
    return f"read_parquet([{', '.join(quoted(str(path)) for path in paths)}])"


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''").replace("\0", "' || chr(0) || '") + "'"
