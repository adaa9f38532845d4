"""The log's storage on disk: one SQLite file per segment in `log/`, named after its first message's number.

A write is one insert in WAL mode with synchronous=FULL: when it returns, the block is on disk. A segment
is closed when it is large or old, and never written again; after an I/O error it is closed for good, since
nobody knows what a failed fsync has left (https://www.sqlite.org/howtocorrupt.html, and PostgreSQL's
https://wiki.postgresql.org/wiki/Fsync_Errors). The last segment is the open one: the one before it is
closed only once the next one exists, so that whoever seals what has a successor never meets the writer.

Here is the writer; `reading.py` reads, `resuming.py` decides at a start where to go on.
"""

import errno
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from headgate.clock import Clock
from headgate.eventlog.block import StoredBlock
from headgate.eventlog.interface import LogFull
from headgate.eventlog.log import BlockLog
from headgate.eventlog.reading import SqliteReadStorage, sqlite_reader
from headgate.eventlog.resuming import resume
from headgate.eventlog.retired import make_mark
from headgate.eventlog.segments import (
    SQL,
    plain_parts,
    plain_path,
    segment_paths,
    sync_directory,
)
from headgate.eventlog.space import LARGE_REQUEST_BYTES, Space, free_bytes
from headgate.eventlog.witness import Witness, read_witness
from headgate.queries import load_schema

__all__ = [
    "MAX_SEGMENT_AGE_MS",
    "MAX_SEGMENT_BYTES",
    "MAX_SEGMENT_MESSAGES",
    "SqliteReadStorage",
    "SqliteStorage",
    "read_witness",
    "segment_paths",
    "sqlite_log",
    "sqlite_reader",
]

MAX_SEGMENT_BYTES = 512 * 1024 * 1024
MAX_SEGMENT_MESSAGES = 4_000_000
MAX_SEGMENT_AGE_MS = 24 * 3600 * 1000

_SCHEMA = load_schema("headgate.eventlog")


def sqlite_log(directory: Path, clock: Clock, seen_to: int = 0) -> BlockLog:
    """The log in this directory, for its one writer; the directory is made when missing.

    `seen_to` is the highest number that anybody else remembers; what the log lacks of it is lost, and its
    numbers are not given again. Raises NewerLog.
    """
    return BlockLog(SqliteStorage(directory, clock, seen_to=seen_to), clock)


class SqliteStorage(SqliteReadStorage):
    """The one writer of the segments."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        seen_to: int = 0,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
        max_segment_messages: int = MAX_SEGMENT_MESSAGES,
        free_bytes: Callable[[Path], int] = free_bytes,
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(directory)
        self._clock = clock
        self._max_segment_bytes = max_segment_bytes
        self._max_segment_messages = max_segment_messages
        self._space = Space(directory, free_bytes)
        self._failure = ""
        self._writing: sqlite3.Connection | None = None
        self._witness = Witness(directory)
        self._resume(seen_to)

    def last_seq(self) -> int:
        return self._last_seq

    def last_crc(self) -> int:
        return self._last_crc

    def open_first_seq(self) -> int:
        return self._segment_first_seq if self._writing is not None else self._last_seq + 1

    def write(self, block: StoredBlock) -> None:
        size_bytes = len(block.columns) + len(block.payload)
        self._space.refuse_when_short(size_bytes)
        try:
            self._segment(block).execute(SQL["insert_block"], block[:8])
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        self._failure = ""
        self._last_seq = block.last_seq
        self._last_crc = block.crc
        self._segment_bytes += size_bytes
        self._space.taken(size_bytes)
        self._witness.write(self._last_seq, self._last_crc)

    def trouble(self) -> str:
        try:
            self._space.refuse_when_short(LARGE_REQUEST_BYTES)
            if self._failure:
                self._probe()
        except LogFull as error:
            return str(error)
        return ""

    def roll(self) -> None:
        if self._writing is None or self._last_seq < self._segment_first_seq:
            return
        try:
            self._begin_segment()
        except (sqlite3.Error, OSError) as error:
            raise LogFull(f"a new segment cannot be begun: {error}") from error

    def limit(self, max_bytes: int) -> None:
        self._space.limit(max_bytes)

    def size_bytes(self) -> int:
        return self._space.held_bytes()

    def close(self) -> None:
        super().close()
        self._close_segment()
        self._witness.close()

    def _resume(self, seen_to: int) -> None:
        found = resume(self._directory, read_witness(self._directory), seen_to)
        self._last_seq, self._last_crc = found.last_seq, found.last_crc
        self.lost = found.lost
        make_mark(self._directory)
        if found.open_segment is not None:
            with suppress(sqlite3.Error):  # what cannot be written on is left for a new segment
                self._open(plain_path(self._directory, found.open_segment))

    def _segment(self, block: StoredBlock) -> sqlite3.Connection:
        """The connection of the open segment, which is a new one when the last is full, old or broken."""
        if self._writing is None or self._is_due_to_end(block.first_seq):
            self._begin_segment()
        assert self._writing is not None
        return self._writing

    def _is_due_to_end(self, next_seq: int) -> bool:
        if next_seq == self._segment_first_seq:
            return False
        return (
            self._segment_bytes >= self._space.segment_bytes(self._max_segment_bytes)
            or next_seq - self._segment_first_seq >= self._max_segment_messages
            or self._clock.now_ms() - self._segment_since_ms > MAX_SEGMENT_AGE_MS
        )

    def _begin_segment(self) -> None:
        path = self._create(self._last_seq + 1)
        self._close_segment()
        self._open(path)
        self._space.look()

    def _create(self, first_seq: int) -> Path:
        """An empty segment; it gets its name only once it is complete, so that readers never see half of one."""
        path, *left = plain_parts(self._directory, first_seq)
        growing = path.with_suffix(".new")
        growing.unlink(missing_ok=True)
        connection = sqlite3.connect(growing, isolation_level=None)
        try:
            connection.executescript(_SCHEMA)
        finally:
            connection.close()
        for part in left:  # of a segment that failed before its first block
            part.unlink(missing_ok=True)
        growing.replace(path)
        sync_directory(self._directory)
        return path

    def _open(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        self._writing = connection
        self._segment_first_seq = int(path.stem)
        self._segment_bytes = path.stat().st_size
        self._segment_since_ms = self._clock.now_ms()

    def _close_segment(self) -> None:
        if self._writing is not None:
            self._writing.close()
            self._writing = None

    def _fail(self, error: Exception) -> None:
        if not _is_full(error):
            self._close_segment()
        self._failure = f"the event log cannot be written: {error}"
        raise LogFull(self._failure) from error

    def _probe(self) -> None:
        try:
            if self._writing is None:
                self._begin_segment()
            assert self._writing is not None
            self._writing.execute(SQL["probe"])
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        self._failure = ""


def _is_full(error: Exception) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
