"""The log looked through from end to end, damage included. For audit and trace, never for delivery.

`BlockReader.blocks` stops at the first thing it cannot read; here that is told as a `Damage`, and the
survey goes on behind it. What is checked:

- a block's checksum, and that it names the checksum of the block before it (the chain);
- that a sealed segment ends with the block that its seal names; behind it the chain goes on from where
  the segment ended before it was sealed;
- that numbers neither skip nor repeat;
- that the log does not end before its witness, which is how a lost tail shows.

Where older segments were retired, which the mark tells (`retired.py`), the first block has nobody before
it to compare with.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headgate.eventlog.block import Block, BrokenBlock, StoredBlock, opened
from headgate.eventlog.reading import SqliteReadStorage
from headgate.eventlog.retired import retired_to
from headgate.eventlog.segments import segment_paths
from headgate.eventlog.witness import read_witness


class Damage(msgspec.Struct, frozen=True):
    """Numbers whose messages are not what was accepted. `readable`: their blocks follow all the same."""

    first_seq: int
    last_seq: int
    why: str
    readable: bool = False


def survey(directory: Path, after_seq: int = 0) -> Iterator[Block | Damage]:
    """Every block that holds messages above `after_seq`, in order, with damage told where it is found.

    Beside a running server it ends at a block that was the newest at some time after the call.
    """
    witness = read_witness(directory)  # before the blocks: what it names is on disk already
    storage = SqliteReadStorage(directory)
    try:
        yield from _Surveyor(storage, directory, witness).run(after_seq)
    finally:
        storage.close()


class _Surveyor:
    """Goes from block to block. A last crc of None is unknown: what was before is damaged, or not held."""

    def __init__(
        self, storage: SqliteReadStorage, directory: Path, witness: tuple[int, int] | None
    ) -> None:
        self._storage = storage
        self._directory = directory
        self._segments = [first_seq for first_seq, _ in segment_paths(directory)]
        self._witnessed_seq, self._witnessed_crc = witness or (0, 0)
        self._last_seq: int | None = None
        self._last_crc: int | None = None

    def run(self, after_seq: int) -> Iterator[Block | Damage]:
        """Everything there is; a segment that cannot be read on is left for the next one."""
        if after_seq == 0:
            start = self._start()
            self._went_to(start, None if start else 0)
        at: int | None = after_seq
        while at is not None:
            try:
                for stored, block in opened(self._storage.blocks(at)):
                    yield from self._look_at(stored, block)
                break
            except BrokenBlock as unreadable:
                yield from self._missing_before(unreadable.first_seq)
                at = unreadable.last_seq
                yield Damage(unreadable.first_seq, at, unreadable.why)
                self._went_to(at, None)
            except sqlite3.Error as error:  # of the machine; for delivery it may pass
                last_seq = at if self._last_seq is None else self._last_seq
                at = self._next_segment(last_seq)
                end = max(last_seq + 1, self._witnessed_seq) if at is None else at
                yield Damage(last_seq + 1, end, f"the segment cannot be read: {error}")
                self._went_to(end, None)
        yield from self._look_at_end(after_seq if self._last_seq is None else self._last_seq)

    def _start(self) -> int:
        """Behind what was retired; a segment that is about to go is looked at while it is there."""
        return min([retired_to(self._directory), *(first - 1 for first in self._segments)])

    def _next_segment(self, last_seq: int) -> int | None:
        """The number before the first one of the segment after the one that holds `last_seq + 1`."""
        return next((first - 1 for first in self._segments if first > last_seq + 1), None)

    def _look_at(self, stored: StoredBlock, block: Block | BrokenBlock) -> Iterator[Block | Damage]:
        if self._last_seq is not None and stored.first_seq <= self._last_seq:
            yield Damage(
                stored.first_seq, stored.last_seq, "the numbers were given twice", readable=True
            )
            self._went_to(max(stored.last_seq, self._last_seq), None)
            return
        yield from self._missing_before(stored.first_seq)
        if isinstance(block, BrokenBlock):
            yield Damage(block.first_seq, block.last_seq, block.why)
            self._went_to(block.last_seq, None)
            return
        for why in self._breaks_of_chain(stored):
            yield Damage(block.first_seq, block.last_seq, why, readable=True)
        yield block
        self._went_to(block.last_seq, stored.next_prev_crc)

    def _breaks_of_chain(self, stored: StoredBlock) -> Iterator[str]:
        if self._last_crc not in (None, stored.prev_crc):
            yield "the block does not continue the one before it"
        if stored.seal is not None and stored.seal.inner_crc != stored.crc:
            yield "the segment does not end with the block that it was sealed with"

    def _missing_before(self, first_seq: int) -> Iterator[Damage]:
        """What was not retired, before or meanwhile, between the last block and this number."""
        if self._last_seq is None or first_seq <= self._last_seq + 1:
            return
        first_missing = max(self._last_seq, retired_to(self._directory)) + 1
        if first_missing < first_seq:
            yield Damage(first_missing, first_seq - 1, "the messages are missing")
        self._last_crc = None

    def _look_at_end(self, last_seq: int) -> Iterator[Damage]:
        if last_seq < self._witnessed_seq:
            first_missing = max(last_seq, retired_to(self._directory)) + 1
            if first_missing <= self._witnessed_seq:
                yield Damage(first_missing, self._witnessed_seq, "the end of the log is missing")
        elif last_seq == self._witnessed_seq and self._last_crc not in (None, self._witnessed_crc):
            why = "the last block is not the one that was written"
            yield Damage(last_seq, last_seq, why, readable=True)

    def _went_to(self, last_seq: int, crc: int | None) -> None:
        self._last_seq, self._last_crc = last_seq, crc
