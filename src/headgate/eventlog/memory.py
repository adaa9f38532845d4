"""The log's storage in memory: the twin of `sqlite.py` for unit tests and simulations. It can be told to fail."""

from bisect import bisect_right
from collections.abc import Collection, Iterator

import numpy as np

from headgate.clock import Clock
from headgate.eventlog.block import Block, StoredBlock
from headgate.eventlog.ids import IdRun
from headgate.eventlog.interface import LogFull
from headgate.eventlog.log import BlockLog
from headgate.eventlog.space import limit_reached


class MemoryStorage:
    """Blocks in a list, which is one open segment. While `failure` is set, nothing can be written."""

    def __init__(self) -> None:
        self._blocks: list[StoredBlock] = []
        self._max_bytes = 0
        self.failure = ""
        self.lost: list[tuple[int, int]] = []

    def last_seq(self) -> int:
        return self._blocks[-1].first_seq + self._blocks[-1].n - 1 if self._blocks else 0

    def first_seq(self) -> int:
        return self._blocks[0].first_seq if self._blocks else 1

    def segments(self) -> list[int]:
        return [self.first_seq()]

    def last_crc(self) -> int:
        return self._blocks[-1].crc if self._blocks else 0

    def write(self, block: StoredBlock) -> None:
        why = self.trouble()
        if why:
            raise LogFull(why)
        self._blocks.append(block)

    def blocks(self, after_seq: int) -> Iterator[StoredBlock]:
        at = bisect_right(self._blocks, after_seq + 1, key=lambda block: block.first_seq) - 1
        for block in self._blocks[max(at, 0) :]:
            if block.first_seq + block.n > after_seq + 1:
                yield block

    def id_runs(self, since_ms: int, *, whole: bool = False) -> Iterator[IdRun]:
        for block in map(Block, self._blocks):
            if block.received_at_ms >= since_ms:
                seqs = np.arange(block.first_seq, block.last_seq + 1)
                yield IdRun.of(np.asarray(block.id_hashes), seqs, block.received_at_ms)

    def find(self, hashes: Collection[int]) -> Iterator[int]:
        for run in self.id_runs(0):
            yield from (seq for one in hashes for seq in run.find(one))

    def trouble(self) -> str:
        held_bytes = self.size_bytes() if self._max_bytes else 0
        return self.failure or limit_reached(held_bytes, self._max_bytes)

    def roll(self) -> None:
        """There is nothing to seal."""

    def open_first_seq(self) -> int:
        return self.first_seq()

    def limit(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def size_bytes(self) -> int:
        return sum(len(block.columns) + len(block.payload) for block in self._blocks)

    def close(self) -> None:
        """Nothing to let go of; the blocks stay, so that a log can be opened on them again."""


def memory_log(clock: Clock, storage: MemoryStorage | None = None) -> BlockLog:
    """A log in memory, on a storage of its own or one that an earlier log wrote."""
    return BlockLog(storage or MemoryStorage(), clock)
