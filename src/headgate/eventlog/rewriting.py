"""A closed segment made anew: in larger blocks, and without what has to be forgotten.

For `sealing.py` and `erasing.py`, in a process of its own beside the gateway. One at a time works in a
directory, and each step leaves the segment readable, whenever it is the last:

    1. everything of K.db-wal goes into K.db         4. K.sealed.new becomes K.sealed.db
    2. K.sealed.new is written and synced            5. K.db is removed, then K.db-wal and K.db-shm
    3. K.ids is written, synced and named

Readers take K.sealed.db as soon as it is there. In it, the first block names the crc that it has always
named, each further one the crc of the block before it in this file, and the seal says what the next
segment's first block names. Damage is not tidied away: a block that is broken, or does not continue the
one before it, is copied byte for byte.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from headgate.eventlog.block import (
    Block,
    BlockWriter,
    BrokenBlock,
    Contents,
    Seal,
    StoredBlock,
    opened,
)
from headgate.eventlog.ids import IdRun, ids_path, numbers, write_ids
from headgate.eventlog.segments import (
    NO_SEGMENT,
    SQL,
    Segment,
    is_unreadable,
    plain_parts,
    sealed_path,
    segment_paths,
    sync_directory,
)
from headgate.queries import load_schema
from headgate.spec.message import FORMAT

BLOCK_MESSAGES = 1_000
_BLOCK_BYTES = 4 * 1024 * 1024
_LEVEL = 3  # of zstd: 4 % smaller than 1, and as fast

Change = Callable[[Block], Contents | None]
"""What a block's contents become; None leaves them as they are."""


class Unreadable(Exception):
    """The segment has to stay as it is: it cannot be read, or may be being written."""


class NotNow(Exception):
    """It can be done later: somebody else is at the segment or the directory, or the disk is full."""


@contextmanager
def alone_in(directory: Path, *, wait: bool = True) -> Iterator[None]:
    """While it lasts nobody else rewrites or retires segments here. Without `wait`, raises NotNow."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(descriptor, directory, wait)
        yield
    finally:
        os.close(descriptor)


def rewrite(directory: Path, first_seq: int, change: Change) -> None:
    """Makes the segment anew, sealed, each block changed as told. Only inside of `alone_in`.

    Durable when it returns. Raises Unreadable and NotNow; then the segment is as it was.
    """
    path, next_segment = _closed_segment(directory, first_seq)
    growing = sealed_path(directory, first_seq).with_suffix(".new")
    try:
        growing.unlink(missing_ok=True)
        if path != sealed_path(directory, first_seq):
            _checkpoint(path)
        with closing(Segment(path)) as segment:
            ids = _write_sealed(growing, segment, next_segment, change)
        write_ids(ids_path(directory, first_seq), ids)
    except (sqlite3.Error, OSError) as error:
        growing.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error) and is_unreadable(error):
            raise Unreadable(f"the segment {path} cannot be read: {error}") from error
        raise NotNow(f"the segment {path} cannot be rewritten now: {error}") from error
    growing.replace(sealed_path(directory, first_seq))
    sync_directory(directory)
    for part in plain_parts(directory, first_seq):
        part.unlink(missing_ok=True)
    sync_directory(directory)


def _lock(descriptor: int, directory: Path, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise NotNow(f"segments in {directory} are being rewritten") from error


def _closed_segment(directory: Path, first_seq: int) -> tuple[Path, int]:
    """The segment's file, and where the next one begins."""
    segments = segment_paths(directory)
    path = dict(segments).get(first_seq)
    next_segment = min((first for first, _ in segments if first > first_seq), default=NO_SEGMENT)
    if path is None:
        raise Unreadable(f"there is no segment {first_seq} in {directory}")
    if next_segment == NO_SEGMENT:
        raise Unreadable(f"the segment {path} is the last, which may be being written")
    return path, next_segment


def _checkpoint(path: Path) -> None:
    """Brings everything of the -wal file into the segment's own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        busy, in_wal, moved = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy and not 0 <= in_wal == moved:  # -1 when somebody else is at it
        raise NotNow(f"the segment {path} is being read")


def _write_sealed(path: Path, segment: Segment, next_segment: int, change: Change) -> IdRun:
    """Writes the new file, and syncs it; the ids that are in it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(load_schema("headgate.eventlog"))
        db.execute("BEGIN")
        rewriter = _Rewriter(db, segment, change)
        for stored, block in opened(segment.blocks(0, next_segment)):
            rewriter.take(stored, block)
        rewriter.finish()
        db.execute("COMMIT")
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return rewriter.ids()


class _Rewriter:
    """Takes the old file's blocks in order, writes the new file's, and follows the chains of both."""

    def __init__(self, db: sqlite3.Connection, segment: Segment, change: Change) -> None:
        self._db = db
        self._change = change
        self._first_seq = segment.first_seq
        self._old_seal = segment.seal
        self._old_seq = segment.first_seq - 1
        self._old_crc: int | None = None  # unknown before the first block, and behind damage
        self._end_crc = 0
        self._prev_crc: int | None = None
        self._inner_crc = 0
        self._writer = BlockWriter(_LEVEL)
        self._gathered = _Gathered()
        self._ids = _Ids()

    def take(self, stored: StoredBlock, block: Block | BrokenBlock) -> None:
        """The next block of the old file."""
        if self._prev_crc is None:
            self._prev_crc = self._inner_crc = stored.prev_crc
        is_broken = isinstance(block, BrokenBlock)
        if isinstance(block, BrokenBlock):
            self._copy(stored)
        elif self._continues(stored):
            if stored.first_seq != self._old_seq + 1:
                self._flush()
            self._add(stored, block)
        else:
            self._add_apart(stored, block)
        self._old_seq = max(self._old_seq, block.last_seq)
        self._old_crc = None if is_broken else stored.crc
        self._end_crc = stored.crc

    def finish(self) -> None:
        """Writes what is gathered, and the seal."""
        self._flush()
        seal = Seal(
            first_seq=self._first_seq,
            last_seq=self._old_seq,
            prev_crc=self._prev_crc or 0,
            end_crc=self._old_seal.end_crc if self._old_seal else self._end_crc,
            inner_crc=self._inner_crc,
        )
        self._db.execute(SQL["insert_seal"], seal)

    def ids(self) -> IdRun:
        """The ids of every readable block."""
        return self._ids.run()

    def _continues(self, stored: StoredBlock) -> bool:
        """Whether the block may stand behind the one before it; behind a gap nobody knows."""
        if stored.first_seq != self._old_seq + 1:
            return stored.first_seq > self._old_seq
        return self._old_crc in (None, stored.prev_crc)

    def _add(self, stored: StoredBlock, block: Block) -> None:
        self._ids.add(block)
        changed = self._change(block)
        if changed is None and (block.n >= BLOCK_MESSAGES or stored.format != FORMAT):
            self._flush()
            self._write(stored.chained_to(self._inner_crc))
            return
        self._gathered.add(block.first_seq, changed or block.contents())
        if self._gathered.is_enough:
            self._flush()

    def _add_apart(self, stored: StoredBlock, block: Block) -> None:
        """A block that is whole but out of place; what it names as its predecessor stays."""
        self._ids.add(block)
        changed = self._change(block)
        if changed is None:
            self._copy(stored)
        else:
            self._flush()
            self._write(self._writer.build(block.first_seq, stored.prev_crc, changed))

    def _copy(self, stored: StoredBlock) -> None:
        self._flush()
        self._write(stored)

    def _flush(self) -> None:
        """Writes what is gathered as one block."""
        gathered, self._gathered = self._gathered, _Gathered()
        if gathered.contents.raws:
            self._write(self._writer.build(gathered.first_seq, self._inner_crc, gathered.contents))

    def _write(self, block: StoredBlock) -> None:
        self._db.execute(SQL["insert_block"], block[:8])
        self._inner_crc = block.crc


class _Gathered:
    """Messages that will be one block."""

    def __init__(self) -> None:
        self.first_seq = 0
        self.contents = Contents([], [], [], [], [], bytearray(), {})
        self._size_bytes = 0

    @property
    def is_enough(self) -> bool:
        """Whether it is time for a new block."""
        return len(self.contents.raws) >= BLOCK_MESSAGES or self._size_bytes >= _BLOCK_BYTES

    def add(self, first_seq: int, more: Contents) -> None:
        """Takes in a block that follows."""
        n = len(self.contents.raws)
        if not n:
            self.first_seq = first_seq
        mine = self.contents
        mine.envelopes.extend(more.envelopes)
        mine.counts.extend(more.counts)
        mine.raws.extend(more.raws)
        mine.id_hashes.extend(more.id_hashes)
        mine.user_hashes.extend(more.user_hashes)
        mine.types.extend(more.types)
        mine.given_ids.update((n + at, given) for at, given in more.given_ids.items())
        self._size_bytes += sum(map(len, more.raws))


class _Ids:
    """The ids of the blocks that are taken."""

    def __init__(self) -> None:
        self._hashes: list[bytes] = []
        self._firsts: list[int] = []
        self._counts: list[int] = []
        self._newest_ms = 0

    def add(self, block: Block) -> None:
        self._hashes.append(block.id_hashes.tobytes())
        self._firsts.append(block.first_seq)
        self._counts.append(block.n)
        self._newest_ms = max(self._newest_ms, block.received_at_ms)

    def run(self) -> IdRun:
        hashes = np.frombuffer(b"".join(self._hashes), np.uint64)
        return IdRun.of(hashes, numbers(self._firsts, self._counts), self._newest_ms)
