"""What a backup consists of, held so that it fits together while a server goes on writing.

Everything is opened first, within milliseconds, and copied then. What is open can be copied to its end,
whoever seals, retires or rewrites it meanwhile: the name goes, the file stays as long as it is held.

- While it is being opened nobody seals, erases or retires segments (`alone_in`), so each is there in one
  form, and none goes away between the facts and the log: its outcomes would be missing from the facts,
  and the messages from the log.
- The facts of delivery are those of one moment. The segments are listed after it, so every message that
  the facts name is in one of them, or was retired before.
- The open segment may grow until it is its turn. Its newest messages have no facts then and look pending,
  which they were. Messages in a segment that is begun later are not in the backup.
- Engage's store is that of one moment as well, before the segments are listed: the log holds everything that
  it has read. While it is fixed and the parts of its history are opened, nobody writes history (`writing`),
  so these hold no message that the store does not know of, and all that it does not remember any more. What
  is asked of Engage is read before: it is in there, or recorded in the store, or both. So are the files of
  backfills, which the store is at some way into.
- The witness is read before the segments are listed, so it names a block that is in one of them, unless
  the log had lost its end: then the backup tells of that loss as well.
- The mark of retention stays what it is until the segments are open: what it does not cover is in the
  backup, or was lost before.
- The workspace is copied last, and holds every version that the messages name.

Databases are copied by SQLite in one step under one read transaction, never as files: a -wal that does
not match would go unnoticed. A file that SQLite refuses to open is damaged, and copied as it is.
"""

import errno
import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from headgate.backup.archive import BackupError
from headgate.engage.history.parts import history_directory, parts_in, writing
from headgate.engage.requests import Requests
from headgate.eventlog.retired import mark_path
from headgate.eventlog.rewriting import alone_in
from headgate.eventlog.segments import is_unreadable, segment_paths
from headgate.locks import Locked
from headgate.queries import connect_read_only, load_queries
from headgate.stores import DELIVERY, ENGAGE, LOG, REFUSED, WITNESS, WORKSPACE

MESSAGES = "messages"
OUTCOMES = "outcomes"

_HISTORY_TIMEOUT_S = 60.0

_SQL = load_queries("headgate.backup")


class Copy(NamedTuple):
    """A part as it goes into the backup. `counted` is what it holds of `Part.counts`."""

    file: BinaryIO
    counted: int = 0
    is_readable: bool = True


class Database:
    """A part that SQLite copies. `counts` is one of MESSAGES, OUTCOMES and nothing."""

    def __init__(self, name: str, path: Path, counts: str = "") -> None:
        self.name = name
        self.counts = counts
        self._db = connect_read_only(path)
        self.size = path.stat().st_size

    def fix(self) -> None:
        """From here on it is as it is now, whatever is written meanwhile."""
        self._db.execute("BEGIN")
        self._db.execute("PRAGMA schema_version").fetchone()

    @contextmanager
    def copied(self, folder: Path) -> Iterator[Copy]:
        """A copy that takes its room in `folder`, until the context ends."""
        if not self._db.in_transaction:
            self.fix()
        counted, is_readable = self._count()
        with _nameless(folder) as (file, copy):
            _copy(self._db, copy, folder)
            self._db.execute("COMMIT")  # so that its writer need not keep what is old for longer
            yield Copy(file, counted, is_readable)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _count(self) -> tuple[int, bool]:
        if not self.counts:
            return 0, True
        try:
            return self._db.execute(_SQL[self.counts]).fetchone()[0], True
        except sqlite3.DatabaseError:
            return 0, False


class PlainFile:
    """A part that is copied byte by byte: nobody writes to it, or it is in memory already."""

    counts = ""

    def __init__(self, name: str, file: BinaryIO, *, is_readable: bool = True) -> None:
        self.name = name
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._file = file
        self._is_readable = is_readable

    @contextmanager
    def copied(self, folder: Path) -> Iterator[Copy]:
        """The file itself."""
        yield Copy(self._file, is_readable=self._is_readable)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


Part = Database | PlainFile


@contextmanager
def snapshot(data_dir: Path) -> Iterator[list[Part]]:
    """The parts of a data directory in the order in which they have to be copied.

    Waits until nobody rewrites segments of its log, or writes Engage's history; BackupError when the
    latter takes longer than a minute.
    """
    _allow_many_files()
    log = data_dir / LOG
    with ExitStack() as opened:
        with _nobody_writing_history(data_dir), alone_in(log) if log.exists() else nullcontext():
            parts = [opened.enter_context(closing(part)) for part in _parts(data_dir)]
        yield parts


@contextmanager
def _nobody_writing_history(data_dir: Path) -> Iterator[None]:
    history = history_directory(data_dir)
    if not history.exists():
        yield
        return
    with ExitStack() as held:
        try:
            held.enter_context(writing(history, _HISTORY_TIMEOUT_S))
        except Locked:
            raise BackupError("Engage's history is being written: try again") from None
        yield


def _parts(data_dir: Path) -> Iterator[Part]:
    """Opens one after the other."""
    log = data_dir / LOG
    if (data_dir / DELIVERY).exists():
        facts = _database(data_dir, data_dir / DELIVERY, OUTCOMES)
        yield facts
        if isinstance(facts, Database):
            facts.fix()
    yield from _parts_of_engage(data_dir)
    for path in (data_dir / WITNESS, mark_path(log)):
        if path.exists():
            yield PlainFile(_name(data_dir, path), BytesIO(path.read_bytes()))
    for _, path in segment_paths(log):
        yield _database(data_dir, path, MESSAGES)
    for path in sorted(log.glob("*.ids")):
        yield PlainFile(_name(data_dir, path), path.open("rb"))
    for name in (REFUSED, WORKSPACE):
        if (data_dir / name).exists():
            yield _database(data_dir, data_dir / name)


def _parts_of_engage(data_dir: Path) -> Iterator[Part]:
    for path, key in Requests(data_dir).waiting().items():
        yield PlainFile(_name(data_dir, path), BytesIO(key.encode()))
    for path in sorted((data_dir / ENGAGE).parent.glob("backfill-*.jsonl")):
        with suppress(FileNotFoundError):  # the last of it has just been read
            yield PlainFile(_name(data_dir, path), path.open("rb"))
    if (data_dir / ENGAGE).exists():
        store = _database(data_dir, data_dir / ENGAGE)
        yield store
        if isinstance(store, Database):
            store.fix()
    for part in parts_in(history_directory(data_dir)):
        yield PlainFile(_name(data_dir, part.path), part.path.open("rb"))


def _database(data_dir: Path, path: Path, counts: str = "") -> Part:
    name = _name(data_dir, path)
    try:
        return Database(name, path, counts)
    except sqlite3.Error as error:
        if not is_unreadable(error):
            raise
        return PlainFile(name, path.open("rb"), is_readable=False)


def _name(data_dir: Path, path: Path) -> str:
    return path.relative_to(data_dir).as_posix()


def _allow_many_files() -> None:
    """Every segment is held open with its -wal and -shm; the usual limit of 1024 is 300 of them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _nameless(folder: Path) -> Iterator[tuple[BinaryIO, sqlite3.Connection]]:
    """A new database and its file, which is gone when it is closed, or when this process is killed."""
    descriptor, name = tempfile.mkstemp(prefix=".headgate-", dir=folder)
    with os.fdopen(descriptor, "rb") as file, closing(sqlite3.connect(name)) as database:
        Path(name).unlink()
        database.execute("PRAGMA journal_mode = OFF")  # a journal would have the name that is gone
        database.execute("PRAGMA synchronous = OFF")
        yield file, database


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, folder: Path) -> None:
    try:
        source.backup(copy)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
