"""The log's storage on disk: one SQLite file per segment in `log/`, named after its first message's number.

A write is one insert in WAL mode with synchronous=FULL: when it returns, the block is on disk. A segment
is closed when it is large or old, and never written again; after an I/O error it is closed for good, since
nobody knows what a failed fsync has left (https://www.sqlite.org/howtocorrupt.html, and PostgreSQL's
https://wiki.postgresql.org/wiki/Fsync_Errors).

Beside the segments lies the witness: the number and crc of the last block, rewritten after every commit.
SQLite silently drops a WAL tail whose checksum is wrong; a log that ends before its witness says so.
"""

import errno
import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from headgate.clock import Clock
from headgate.eventlog.block import StoredBlock
from headgate.eventlog.interface import LogFull
from headgate.eventlog.log import BlockLog, BlockReader
from headgate.queries import connect_read_only, load_queries, load_schema

_SQL = load_queries("headgate.eventlog")
_WITNESS = struct.Struct("<QI")
_MAX_CHUNK = 64
_NO_SEGMENT = 2**63 - 1
_FREE_FLOOR_BYTES = 8 * 1024 * 1024
_LARGE_REQUEST_BYTES = 1024 * 1024  # a health that says yes must hold for the next request, too
_OPEN_SEGMENTS = 4

MAX_SEGMENT_BYTES = 512 * 1024 * 1024
MAX_SEGMENT_MESSAGES = 4_000_000
MAX_SEGMENT_AGE_MS = 24 * 3600 * 1000


def sqlite_log(directory: Path, clock: Clock) -> BlockLog:
    """The log in this directory, for its one writer; the directory is made when missing."""
    return BlockLog(SqliteStorage(directory, clock), clock)


def sqlite_reader(directory: Path) -> BlockReader:
    """The same log for reading, from any process, while it is written or after."""
    return BlockReader(SqliteReadStorage(directory))


def segment_paths(directory: Path) -> list[tuple[int, Path]]:
    """(first number, file) of every segment, oldest first."""
    return sorted((int(path.stem), path) for path in directory.glob("*.db"))


def read_witness(directory: Path) -> tuple[int, int] | None:
    """(number, crc) of the last block that was made durable here; None before the first."""
    try:
        witness = (directory / "witness").read_bytes()
    except FileNotFoundError:
        return None
    return _WITNESS.unpack(witness[: _WITNESS.size]) if len(witness) >= _WITNESS.size else None


class SqliteReadStorage:
    """Reads the segments through read-only connections, a few of which stay open."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._connections: dict[tuple[Path, int], sqlite3.Connection] = {}

    def last_seq(self) -> int:
        return self._end()[0]

    def first_seq(self) -> int:
        segments = segment_paths(self._directory)
        return segments[0][0] if segments else 1

    def blocks(self, after_seq: int) -> Iterator[StoredBlock]:
        segments = segment_paths(self._directory)
        starts = [*(first_seq for first_seq, _ in segments), _NO_SEGMENT]
        for (_, path), next_segment in zip(segments, starts[1:], strict=True):
            if next_segment > after_seq + 1:
                yield from self._blocks_of(path, after_seq, next_segment)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _end(self) -> tuple[int, int]:
        """The number of the newest message, and the crc of the last block; zeros when there is none."""
        last_seq, next_segment = 0, _NO_SEGMENT
        for first_seq, path in reversed(segment_paths(self._directory)):
            asked = {"next_segment": next_segment}
            row = self._connect(path).execute(_SQL["last_block"], asked).fetchone()
            if row:
                return max(last_seq, row[0] + row[1] - 1), row[2]
            last_seq, next_segment = max(last_seq, first_seq - 1), first_seq
        return last_seq, 0

    def _blocks_of(self, path: Path, after_seq: int, next_segment: int) -> Iterator[StoredBlock]:
        """The segment's blocks above `after_seq`, few at first, since many callers want only one.

        A block numbered from `next_segment` on was never accepted: its commit failed, the segment was
        closed for it, and SQLite's recovery brought it back.
        """
        limit, read = 1, -1
        while True:
            asked = {"next": after_seq + 1, "read": read, "limit": limit}
            try:
                rows = self._connect(path).execute(_SQL["blocks_from"], asked).fetchall()
            except FileNotFoundError:  # retired meanwhile
                return
            for row in rows:
                block = StoredBlock(*row)
                if block.first_seq >= next_segment:
                    return
                read = block.first_seq
                yield block
            if len(rows) < limit:
                return
            limit = min(4 * limit, _MAX_CHUNK)

    def _connect(self, path: Path) -> sqlite3.Connection:
        key = path, path.stat().st_ino  # a segment that failed before its first block is replaced
        connection = self._connections.get(key)
        if connection is None:
            while len(self._connections) >= _OPEN_SEGMENTS:
                self._connections.pop(next(iter(self._connections))).close()
            connection = connect_read_only(path)
            self._connections[key] = connection
        return connection


class SqliteStorage(SqliteReadStorage):
    """The one writer of the segments."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
        max_segment_messages: int = MAX_SEGMENT_MESSAGES,
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(directory)
        self._clock = clock
        self._max_segment_bytes = max_segment_bytes
        self._max_segment_messages = max_segment_messages
        self._free_bytes = free_bytes or _free_bytes
        self._failure = ""
        self._writing: sqlite3.Connection | None = None
        self._witness = os.open(directory / "witness", os.O_RDWR | os.O_CREAT, 0o600)
        self.lost: tuple[int, int] | None = None
        self._resume()

    def last_seq(self) -> int:
        return self._last_seq

    def last_crc(self) -> int:
        return self._last_crc

    def write(self, block: StoredBlock) -> None:
        self._refuse_when_nearly_full(len(block.payload))
        try:
            self._segment(block).execute(_SQL["insert_block"], block)
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        self._failure = ""
        self._last_seq = block.first_seq + block.n - 1
        self._last_crc = block.crc
        self._segment_bytes += len(block.columns) + len(block.payload)
        with suppress(OSError):  # the block is durable; only a later loss of it would go untold
            os.pwrite(self._witness, _WITNESS.pack(self._last_seq, self._last_crc), 0)

    def trouble(self) -> str:
        try:
            self._refuse_when_nearly_full(_LARGE_REQUEST_BYTES)
            if self._failure:
                self._probe()
        except LogFull as error:
            return str(error)
        return ""

    def close(self) -> None:
        super().close()
        if self._writing is not None:
            self._writing.close()
            self._writing = None
        if self._witness >= 0:
            os.close(self._witness)
            self._witness = -1

    def _resume(self) -> None:
        """Goes on where the log ends; above the witness when the log ends before it, and says what is lost."""
        self._last_seq, self._last_crc = self._end()
        segments = segment_paths(self._directory)
        if segments:
            self._open(segments[-1][1])
        witness = os.pread(self._witness, _WITNESS.size, 0)
        if len(witness) == _WITNESS.size:
            witnessed_seq, _ = _WITNESS.unpack(witness)
            if witnessed_seq > self._last_seq:
                self.lost = (self._last_seq + 1, witnessed_seq)
                self._last_seq = witnessed_seq
                self._close_segment()

    def _segment(self, block: StoredBlock) -> sqlite3.Connection:
        """The connection of the open segment, which is a new one when the last is full, old or broken."""
        if self._writing is not None and (
            self._segment_bytes >= self._max_segment_bytes
            or block.first_seq - self._segment_first_seq >= self._max_segment_messages
            or self._clock.now_ms() - self._segment_since_ms > MAX_SEGMENT_AGE_MS
        ):
            self._close_segment()
        if self._writing is None:
            self._open(self._create(block.first_seq))
        assert self._writing is not None
        return self._writing

    def _create(self, first_seq: int) -> Path:
        """An empty segment; it gets its name only once it is complete, so that readers never see half of one."""
        path = self._directory / f"{first_seq:016d}.db"
        growing = path.with_suffix(".new")
        growing.unlink(missing_ok=True)
        connection = sqlite3.connect(growing, isolation_level=None)
        try:
            connection.executescript(load_schema("headgate.eventlog"))
        finally:
            connection.close()
        for left in ("-wal", "-shm"):  # of a segment that failed before its first block
            Path(f"{path}{left}").unlink(missing_ok=True)
        growing.replace(path)
        _sync_directory(self._directory)
        return path

    def _open(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
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

    def _refuse_when_nearly_full(self, wanted_bytes: int) -> None:
        """Leaves a little space, so that outcomes can still be recorded when messages no longer can."""
        try:
            free = self._free_bytes(self._directory)
        except OSError as error:
            raise LogFull(f"the event log's directory cannot be looked at: {error}") from error
        if free < _FREE_FLOOR_BYTES + wanted_bytes:
            raise LogFull(
                f"the disk is full: {free // 1024} KiB free in {self._directory}, "
                f"{(_FREE_FLOOR_BYTES + wanted_bytes) // 1024} KiB needed"
            )

    def _probe(self) -> None:
        try:
            if self._writing is None:
                self._open(self._create(self._last_seq + 1))
            assert self._writing is not None
            self._writing.execute(_SQL["probe"])
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        self._failure = ""


def _free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _is_full(error: Exception) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
