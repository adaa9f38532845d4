"""The log's storage on disk, for reading: from any process, while the log is written, sealed and retired.

An iteration keeps to the file that it found for a segment, because sealing and erasing exchange files
whose blocks begin elsewhere. A segment that SQLite cannot read is told as broken up to where the next
one begins; who reads on behind it finds the rest.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np

from headgate.eventlog.block import BrokenBlock, StoredBlock
from headgate.eventlog.ids import IdRun, ids_path, numbers, read_ids
from headgate.eventlog.log import BlockReader
from headgate.eventlog.segments import (
    NO_SEGMENT,
    Segment,
    is_unreadable,
    open_segment,
    plain_path,
    segment_paths,
)
from headgate.eventlog.witness import read_witness

_IDLE_SEGMENTS = 4
_FEW = 64
_MAX_SPAN = 2**31  # a number further from its segment's first is none that was written

_Ids = tuple[int, int, int, bytes]  # of a block: first number, messages, receivedAt, id hashes


def sqlite_reader(directory: Path) -> BlockReader:
    """The log in this directory for reading, from any process, while it is written or after."""
    return BlockReader(SqliteReadStorage(directory))


class SqliteReadStorage:
    """Reads the segments through read-only connections, a few of which stay open."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._segments = _Segments(directory)

    def last_seq(self) -> int:
        for first_seq, next_segment in reversed(self._ranges()):
            try:
                with self._segments.opened(first_seq) as segment:
                    end = segment.end(next_segment) if segment else None
            except sqlite3.Error:
                return max(first_seq - 1, self._known_end(next_segment))
            return end.last_seq if end else first_seq - 1
        return 0

    def first_seq(self) -> int:
        segments = segment_paths(self._directory)
        return segments[0][0] if segments else 1

    def segments(self) -> list[int]:
        return [first_seq for first_seq, _ in segment_paths(self._directory)]

    def blocks(self, after_seq: int) -> Iterator[StoredBlock]:
        for first_seq, next_segment in self._ranges():
            if next_segment > after_seq + 1:
                yield from self._blocks_of(first_seq, next_segment, after_seq)

    def id_runs(self, since_ms: int, *, whole: bool = False) -> Iterator[IdRun]:
        for first_seq, next_segment in self._ranges_of_ids():
            run = self._sorted_ids(first_seq, whole=whole)
            if run is None:
                run = _run_of(self._ids_of(first_seq, next_segment, since_ms))
            if len(run) and run.newest_ms >= since_ms:
                yield run

    def find(self, hashes: Collection[int]) -> Iterator[int]:
        for first_seq, next_segment in self._ranges_of_ids():
            run = self._sorted_ids(first_seq, whole=True)
            if run is not None:
                yield from (seq for one in hashes for seq in run.find(one))
            else:
                yield from _found_in(self._ids_of(first_seq, next_segment, 0), hashes)

    def close(self) -> None:
        self._segments.close()

    def _ranges(self) -> list[tuple[int, int]]:
        """(first number, first number of the next one) of every segment."""
        return _ranges(first_seq for first_seq, _ in segment_paths(self._directory))

    def _blocks_of(
        self, first_seq: int, next_segment: int, after_seq: int
    ) -> Iterator[StoredBlock]:
        read_to = max(after_seq, first_seq - 1)
        try:
            with self._segments.opened(first_seq) as segment:
                for block in segment.blocks(after_seq, next_segment) if segment else ():
                    read_to = max(read_to, block.last_seq)
                    yield block
        except sqlite3.Error as error:
            if not is_unreadable(error):
                raise
            end = self._known_end(next_segment)
            if end > read_to:
                why = f"the segment cannot be read: {error}"
                raise BrokenBlock(read_to + 1, end, why) from error

    def _known_end(self, next_segment: int) -> int:
        """Where a segment ends that cannot tell so itself: at the end of the log the witness knows."""
        if next_segment != NO_SEGMENT:
            return next_segment - 1
        witness = read_witness(self._directory)
        return witness[0] if witness else 0

    def _ranges_of_ids(self) -> list[tuple[int, int]]:
        """(first number, first number of the next one) of every segment whose ids are still there."""
        kept = {int(path.stem) for path in self._directory.glob("*.ids")}
        return _ranges(kept.union(first_seq for first_seq, _ in segment_paths(self._directory)))

    def _sorted_ids(self, first_seq: int, *, whole: bool) -> IdRun | None:
        """The ids of a segment that is sealed or gone; None when there is no such file, or a damaged one."""
        plain = plain_path(self._directory, first_seq)
        if dict(segment_paths(self._directory)).get(first_seq) == plain:
            return None
        return read_ids(ids_path(self._directory, first_seq), whole=whole)

    def _ids_of(self, first_seq: int, next_segment: int, since_ms: int) -> list[_Ids]:
        """The ids of a segment's columns. What cannot be read has none; the doors open all the same."""
        rows: list[_Ids] = []
        with suppress(sqlite3.Error), self._segments.opened(first_seq) as segment:
            rows.extend(
                (block_first, n, received_at_ms, columns[: 8 * n])
                for block_first, n, received_at_ms, columns in (
                    segment.columns(since_ms, next_segment) if segment else ()
                )
                if 0 < n <= len(columns) // 8 and 0 <= block_first - first_seq < _MAX_SPAN
            )
        return rows


class _Segments:
    """Segments that are open; whoever uses one has it alone until it is given back."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._idle: dict[int, Segment] = {}
        self._closed = False

    @contextmanager
    def opened(self, first_seq: int) -> Iterator[Segment | None]:
        """The segment as it lies there now; None when it was retired."""
        segment = self._take(first_seq)
        try:
            yield segment
        finally:
            if segment is not None:
                self._give_back(segment)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.popitem()[1].close()

    def _take(self, first_seq: int) -> Segment | None:
        idle = self._idle.pop(first_seq, None)
        if idle is not None:
            if idle.is_current():
                return idle
            idle.close()
        return open_segment(self._directory, first_seq)

    def _give_back(self, segment: Segment) -> None:
        other = self._idle.pop(segment.first_seq, None)
        if other is not None:
            other.close()
        if self._closed:
            segment.close()
            return
        self._idle[segment.first_seq] = segment
        if len(self._idle) > _IDLE_SEGMENTS:
            self._idle.pop(next(iter(self._idle))).close()


def _ranges(first_seqs: Iterable[int]) -> list[tuple[int, int]]:
    return list(pairwise([*sorted(first_seqs), NO_SEGMENT]))


def _run_of(rows: list[_Ids]) -> IdRun:
    seqs = numbers([row[0] for row in rows], [row[1] for row in rows])
    hashes = np.frombuffer(b"".join(row[3] for row in rows), np.uint64)
    return IdRun.of(hashes, seqs, max((row[2] for row in rows), default=0))


def _found_in(rows: list[_Ids], hashes: Collection[int]) -> Iterator[int]:
    """The numbers of the messages with one of the hashes. For a few of them that is faster than sorting all."""
    held = np.frombuffer(b"".join(row[3] for row in rows), np.uint64)
    if len(hashes) > _FEW:
        found = np.isin(held, np.array(list(hashes), np.uint64))
    else:
        found = np.zeros(len(held), np.bool_)
        for one in hashes:
            found |= held == np.uint64(one)
    starts = np.cumsum([0, *(row[1] for row in rows)])
    for place in np.flatnonzero(found).tolist():
        row = int(np.searchsorted(starts, place, "right")) - 1
        yield rows[row][0] + place - int(starts[row])
