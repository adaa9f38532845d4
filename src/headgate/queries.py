"""SQL lives in files beside the code that runs it: `queries.sql`, by name, and `schema.sql`."""

import re
import sqlite3
from importlib.resources import files
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load_queries(package: str) -> dict[str, str]:
    """The statements of a package's queries.sql by name; each starts at its `-- name:` line."""
    parts = _NAME.split(files(package).joinpath("queries.sql").read_text())
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


def load_schema(package: str) -> str:
    """A package's schema.sql."""
    return files(package).joinpath("schema.sql").read_text()


def load_migrations(package: str) -> list[str]:
    """The text of each of a package's migrations, in the order in which they run."""
    folder = files(package).joinpath("migrations")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [folder.joinpath(name).read_text() for name in names]


def schema_version(db: sqlite3.Connection) -> int:
    """How many migrations have run: PRAGMA user_version."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, package: str) -> None:
    """Runs the migrations that have not run, all or none. For a store with one writer."""
    migrations = load_migrations(package)
    missing = migrations[schema_version(db) :]
    if not missing:
        return
    try:
        db.executescript(
            f"BEGIN IMMEDIATE; {' '.join(missing)} PRAGMA user_version = {len(migrations)}; COMMIT;"
        )
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for any thread; sqlite3.OperationalError when there is no such file.

    SQLite reads a WAL database through a shared index beside it (-shm), which it has to make when nobody
    has the database open. Where it cannot, the directory being read-only, nobody else can write either,
    and without anything in a -wal file the database is whole and can count as unchanging.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = _connect(uri)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        wal = path.with_name(f"{path.name}-wal")
        is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        if is_busy or (wal.exists() and wal.stat().st_size):
            raise
        return _connect(f"{uri}&immutable=1")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
