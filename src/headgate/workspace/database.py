"""DIR/workspace.db itself: how it is made, opened, brought up to date, read and written.

Written by the server and by commands alike. WAL with synchronous FULL: a commit that returned is on
disk. Writers take turns under BEGIN IMMEDIATE and wait for each other at most `BUSY_TIMEOUT_S`. A new
file is built aside and linked into place, because two processes that switch one fresh file to WAL get
in each other's way. The schema's version is PRAGMA user_version = the number of migrations that have run.
"""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headgate.clock import Clock
from headgate.queries import load_migrations, load_queries, schema_version
from headgate.workspace.errors import StoreBusy, UnusableStore

BUSY_TIMEOUT_S = 10

_PACKAGE = "headgate.workspace"
SQL = load_queries(_PACKAGE)


class DatabaseReader:
    """Reads the file, from any process, while others write it. Calls from several threads take turns.

    Opening raises `UnusableStore` when the file is missing or made by another Headgate. Nothing is
    created or changed, so a backup and a directory without write permission can be read as well.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        with _explained(path):
            self._connection = self._open()

    def close(self) -> None:
        """Let go of the file; may be called again."""
        with self._lock:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise UnusableStore(
                f"no workspace in {self._path.parent}: start headgate serve with this data directory"
                " once, or apply a file to it"
            )
        connection = _connect_read_only(self._path)
        try:
            _refuse_other_schema(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _one(self, name: str, **values: Any) -> Any:
        rows = self._all(name, **values)
        return rows[0] if rows else None

    def _all(self, name: str, **values: Any) -> list[Any]:
        with self._lock, _explained(self._path):
            return self._connection.execute(SQL[name], values).fetchall()


class DatabaseWriter(DatabaseReader):
    """Reads and writes. Opening makes a missing file and brings an older schema up to date."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        super().__init__(path)

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            _create(self._path)
        connection = _connect(f"{self._path.resolve().as_uri()}?mode=rw")
        try:
            _make_durable(connection)
            _refuse_newer_schema(connection, self._path)
            _migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """A write transaction: gives `execute`, commits at the end, changes nothing on any exception."""
        with self._lock, _explained(self._path), _transaction(self._connection) as execute:
            yield execute


# Opening


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def _make_durable(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; the file counts as unchanging where it has to.

    SQLite reads a WAL database through a shared index file beside it (-shm), which it has to make
    when nobody has the store open. Where it cannot, the directory being read-only, nobody else can
    write either, and without a -wal file the database is whole.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = _connect(uri)
    try:
        schema_version(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        if _is_code(error, sqlite3.SQLITE_BUSY) or _has_wal(path):
            raise
        return _connect(f"{uri}&immutable=1")
    return connection


def _has_wal(path: Path) -> bool:
    wal = path.with_name(f"{path.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _create(path: Path) -> None:
    """Build a new store aside and link it into place; somebody else's, made meanwhile, stands."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".workspace-") as folder:
        aside = Path(folder) / path.name
        connection = _connect(aside.resolve().as_uri())
        try:
            _make_durable(connection)
            _migrate(connection)
        finally:
            connection.close()
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# The schema


def _refuse_newer_schema(connection: sqlite3.Connection, path: Path) -> None:
    found, known = schema_version(connection), len(load_migrations(_PACKAGE))
    if found > known:
        raise UnusableStore(
            f"{path} was written by a newer Headgate: expected schema {known} or older, found"
            f" {found}; use that Headgate, or restore a backup made by this one"
        )


def _refuse_other_schema(connection: sqlite3.Connection, path: Path) -> None:
    _refuse_newer_schema(connection, path)
    found, known = schema_version(connection), len(load_migrations(_PACKAGE))
    if found < known:
        raise UnusableStore(
            f"{path} was written by an older Headgate: expected schema {known}, found {found};"
            " start headgate serve with this data directory once, which upgrades it"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    """Run the migrations that have not run, all or none; another process may have been first."""
    migrations = load_migrations(_PACKAGE)
    if schema_version(connection) == len(migrations):
        return
    with _transaction(connection) as execute:
        for migration in migrations[schema_version(connection) :]:
            for statement in migration.split(";\n"):
                execute(statement)
        execute(f"PRAGMA user_version = {len(migrations)}")


# Transactions and errors


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[Any]:
    """A write transaction, committed at the end and rolled back on any exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.execute
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors as this room's."""
    try:
        yield
    except sqlite3.Error as error:
        if _is_code(error, sqlite3.SQLITE_BUSY):
            raise StoreBusy(
                f"{path} is being changed by another process for more than {BUSY_TIMEOUT_S} s:"
                " try again"
            ) from error
        raise UnusableStore(f"{path} cannot be used: {error}") from error


def _is_code(error: sqlite3.Error, code: int) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == code
