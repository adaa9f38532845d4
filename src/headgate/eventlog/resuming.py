"""Where the log goes on after a start, and what is missing from it.

Looked at are how far retention has come, the end of every segment, the last blocks of the last one, the
witness, and the highest number that somebody else remembers. Everything that does not fit is told as
lost, and numbering goes on above all of it, so that no number is ever given twice. `survey` looks at the
rest.
"""

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from headgate.eventlog.block import BYTES_PER_MESSAGE, Block, BrokenBlock, StoredBlock
from headgate.eventlog.retired import retired_to
from headgate.eventlog.segments import (
    NO_SEGMENT,
    Segment,
    open_segment,
    plain_parts,
    sealed_path,
    segment_paths,
)

_MAX_CHECKED_BLOCKS = 256
_MAX_CHECKED_BYTES = 64 * 1024 * 1024

Range = tuple[int, int]


class Resumption(NamedTuple):
    """The last number given and the crc to chain to; the segment to go on writing, None for a new one."""

    last_seq: int
    last_crc: int
    open_segment: int | None
    lost: list[Range]


def resume(directory: Path, witness: tuple[int, int] | None, seen_to: int) -> Resumption:
    """Where to go on. Nothing is changed. Raises NewerLog.

    Beside a running server `lost` holds, too, if the witness was read before.
    """
    return _Resuming(directory, witness or (0, 0), seen_to).run()


class _Resuming:
    def __init__(self, directory: Path, witness: tuple[int, int], seen_to: int) -> None:
        self._directory = directory
        self._witnessed_seq, self._witnessed_crc = witness
        self._seen_to = seen_to
        self._last_block: Range = (0, 0)
        self._last_seq = 0
        self._last_crc = 0
        self._open: int | None = None
        self._lost: list[Range] = []

    def run(self) -> Resumption:
        first_seqs = [first_seq for first_seq, _ in segment_paths(self._directory)]
        for first_seq, next_segment in pairwise([*first_seqs, NO_SEGMENT]):
            self._lose_to(first_seq - 1)
            self._pass(first_seq, next_segment)
        self._compare_with_witness()
        self._lose_to(max(self._witnessed_seq, self._seen_to, retired_to(self._directory)))
        return Resumption(self._last_seq, self._last_crc, self._open, _joined(self._lost))

    def _lose_to(self, seq: int) -> None:
        """Goes to a number; what was not retired in between is lost, and no segment before it is gone on with."""
        if seq <= self._last_seq:
            return
        first = max(self._last_seq, retired_to(self._directory)) + 1
        if first <= seq:
            self._lost.append((first, seq))
        self._last_seq = seq
        self._open = None

    def _pass(self, first_seq: int, next_segment: int) -> None:
        """Goes to the end of a segment."""
        try:
            segment = open_segment(self._directory, first_seq)
            if segment is None:  # retired at this moment
                return
            with closing(segment):
                self._go_to_end_of(segment, next_segment)
        except sqlite3.Error:
            is_last = next_segment == NO_SEGMENT
            self._lose_to(self._end_of_unreadable(first_seq) if is_last else next_segment - 1)

    def _end_of_unreadable(self, first_seq: int) -> int:
        """Where the last segment may have ended. One number at least, or the next one would take its name."""
        if self._witnessed_seq:
            return first_seq
        files = [sealed_path(self._directory, first_seq), *plain_parts(self._directory, first_seq)]
        size_bytes = sum(file.stat().st_size for file in files if file.exists())
        return first_seq + size_bytes // BYTES_PER_MESSAGE

    def _go_to_end_of(self, segment: Segment, next_segment: int) -> None:
        end = segment.end(next_segment)
        if end is not None:
            self._last_block = end.first_seq, end.last_seq
            self._last_seq, self._last_crc = max(self._last_seq, end.last_seq), end.crc
        if next_segment == NO_SEGMENT and segment.seal is None:
            self._open = segment.first_seq
            self._check_end_of(segment)

    def _check_end_of(self, segment: Segment) -> None:
        """Looks through the last blocks, newest first."""
        following: StoredBlock | None = None
        size_bytes = 0
        for n, block in enumerate(segment.last_blocks(NO_SEGMENT)):
            size_bytes += len(block.payload)
            if n == _MAX_CHECKED_BLOCKS or size_bytes > _MAX_CHECKED_BYTES:
                return
            self._check(block, following)
            following = block

    def _check(self, block: StoredBlock, following: StoredBlock | None) -> None:
        if _is_broken(block):
            self._lost.append((block.first_seq, self._end_of_broken(block, following)))
        elif following is not None and following.first_seq > block.last_seq + 1:
            self._lost.append((block.last_seq + 1, following.first_seq - 1))
        elif following is not None and following.prev_crc != block.crc:
            self._lost.append((following.first_seq, following.last_seq))

    def _end_of_broken(self, block: StoredBlock, following: StoredBlock | None) -> int:
        """Where a broken block ends; nothing is written behind one that is the last."""
        if following is not None:
            return following.first_seq - 1
        self._open = None
        if self._witnessed_seq < block.first_seq:
            # nobody knows; no message takes less than this of the columns
            self._last_seq = max(self._last_seq, block.largest_last_seq)
        return self._last_seq

    def _compare_with_witness(self) -> None:
        """Whether the last block is the one that was made durable last."""
        is_named = self._witnessed_seq == self._last_seq == self._last_block[1]
        if is_named and self._witnessed_crc != self._last_crc:
            self._lost.append(self._last_block)
            self._open = None


def _is_broken(block: StoredBlock) -> bool:
    try:
        Block(block)
    except BrokenBlock:
        return True
    return False


def _joined(ranges: list[Range]) -> list[Range]:
    """The ranges in order, those that touch made one."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined
