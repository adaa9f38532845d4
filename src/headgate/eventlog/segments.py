"""The log's segments as files: how they are named, and one of them open for reading.

    K.db          a segment as it is written: WAL mode, one block per group commit
    K.sealed.db   the same messages in fewer blocks, never changed, never in WAL mode; it replaces K.db
    K.ids         the sorted ids of a sealed segment (`ids.py`)

K is the number of the first message, in 16 digits. Where a crash left both files of a segment, the
sealed one holds. Only segments that have a successor are ever sealed, so the file that the log's writer
has open is never exchanged under it.

A file's bytes are read through SQLite alone: opening and closing it by other means would drop the locks
that this process holds on it (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from headgate.eventlog.block import Seal, StoredBlock
from headgate.queries import connect_read_only, load_queries

LOG_VERSION = 1
NO_SEGMENT = 2**63 - 1

SQL = load_queries("headgate.eventlog")
_MAX_CHUNK = 64
_NAME = re.compile(r"(\d{16})(\.sealed)?\.db")
_PASSES = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)


class NewerLog(Exception):
    """The log was written by a newer Headgate, whose files this one cannot be trusted with."""


def plain_path(directory: Path, first_seq: int) -> Path:
    """The file of a segment as it is written."""
    return directory / f"{first_seq:016d}.db"


def sealed_path(directory: Path, first_seq: int) -> Path:
    """The file of a sealed segment."""
    return directory / f"{first_seq:016d}.sealed.db"


def plain_parts(directory: Path, first_seq: int) -> list[Path]:
    """The file of a segment as it is written and those that SQLite keeps beside it; the first goes first.

    Were its -wal to go before it, somebody who opens the segment in between would see an older state.
    """
    path = plain_path(directory, first_seq)
    return [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]


def segment_paths(directory: Path) -> list[tuple[int, Path]]:
    """(first number, file) of every segment, oldest first."""
    try:
        with os.scandir(directory) as files:
            names = sorted(file.name for file in files)
    except FileNotFoundError:
        return []
    found: dict[int, Path] = {}
    for name in names:  # K.db before K.sealed.db
        if parts := _NAME.fullmatch(name):
            found[int(parts[1])] = directory / name
    return sorted(found.items())


def check_version(directory: Path) -> None:
    """NewerLog when any of the segments was written by a newer Headgate."""
    for first_seq, _ in segment_paths(directory):
        with suppress(
            sqlite3.Error, FileNotFoundError
        ):  # unreadable or sealed meanwhile: not newer
            segment = open_segment(directory, first_seq)
            if segment is not None:
                segment.close()


def is_unreadable(error: sqlite3.Error) -> bool:
    """Whether the error says that the file is no segment any more, rather than that something was amiss."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF not in _PASSES


def sync_directory(directory: Path) -> None:
    """Makes new names, and the going of old ones, durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class End(NamedTuple):
    """The last block of a segment: its first and last number, and the crc for the next block to name."""

    first_seq: int
    last_seq: int
    crc: int


class Segment:
    """One file of the log, open for reading.

    What is read through it comes from this one file, whatever takes its place meanwhile. Raises
    NewerLog, or sqlite3.Error when the file is none that SQLite can read.
    """

    def __init__(self, path: Path) -> None:
        name = _NAME.fullmatch(path.name)
        assert name is not None, path
        self.first_seq = int(name[1])
        self._path = path
        self._inode = path.stat().st_ino
        self._db = _connect_immutable(path) if name[2] else connect_read_only(path)
        try:
            self._refuse_newer()
            self.seal = self._read_seal() if name[2] else None
        except BaseException:
            self._db.close()
            raise

    def is_current(self) -> bool:
        """Whether its file is still there. While sealing ends, the sealed one is, too, and says the same."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def blocks(self, after_seq: int, next_segment: int) -> Iterator[StoredBlock]:
        """The blocks above `after_seq`, few at first, since many callers want only one.

        A block numbered from `next_segment` on was never accepted: its commit failed, the segment was
        closed for it, and SQLite's recovery brought it back.
        """
        limit, read = 1, -1
        while True:
            asked = {"next": max(after_seq, read) + 1, "read": read, "limit": limit}
            rows = self._execute("blocks_from", **asked).fetchall()
            for row in rows:
                block = StoredBlock(*row)
                if block.first_seq >= next_segment:
                    return
                read = block.first_seq
                yield self._with_seal(block)
            if len(rows) < limit:
                return
            limit = min(4 * limit, _MAX_CHUNK)

    def last_blocks(self, next_segment: int) -> Iterator[StoredBlock]:
        """The blocks from the last one backwards."""
        for row in self._execute("last_blocks", next_segment=next_segment):
            yield self._with_seal(StoredBlock(*row))

    def end(self, next_segment: int) -> End | None:
        """The last block, unchecked; None when there is no block."""
        row = self._execute("end", next_segment=next_segment).fetchone()
        if row is None:
            return None
        end = End(row[0], min(row[1], next_segment - 1), row[2])
        return end if self.seal is None else end._replace(crc=self.seal.end_crc)

    def columns(self, since_ms: int, next_segment: int) -> Iterator[tuple[int, int, int, bytes]]:
        """(first number, messages, receivedAt, columns) of the blocks from `since_ms` on, unchecked."""
        return iter(self._execute("columns", since_ms=since_ms, next_segment=next_segment))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _refuse_newer(self) -> None:
        version = self._execute("version").fetchone()[0]
        if version > LOG_VERSION:
            raise NewerLog(
                f"{self._path} was written by a newer Headgate (log version {version}, this one "
                f"knows {LOG_VERSION}); start that one, or restore a backup made before the upgrade"
            )

    def _execute(self, query: str, **asked: int) -> sqlite3.Cursor:
        """A query's rows. A schema that is no text any more is an error of SQLite's like any other."""
        try:
            return self._db.execute(SQL[query], asked)
        except UnicodeDecodeError as error:
            corrupt = sqlite3.DatabaseError(f"the schema is damaged: {error}")
            corrupt.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise corrupt from error

    def _read_seal(self) -> Seal | None:
        row = self._execute("seal").fetchone()
        return Seal(*row) if row else None

    def _with_seal(self, block: StoredBlock) -> StoredBlock:
        if self.seal is None or block.last_seq != self.seal.last_seq:
            return block
        return block._replace(seal=self.seal)


def open_segment(directory: Path, first_seq: int) -> Segment | None:
    """The segment as it lies there now; None when it was retired."""
    sealed, plain = sealed_path(directory, first_seq), plain_path(directory, first_seq)
    for path in (sealed, plain, sealed):  # sealing takes the plain one away after naming the sealed
        if path.exists():
            try:
                return Segment(path)
            except (FileNotFoundError, sqlite3.OperationalError):
                if path.exists():
                    raise
    return None


def _connect_immutable(path: Path) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
