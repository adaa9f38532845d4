"""The log's storage in memory: the twin of `sqlite.py` for unit tests and simulations. It can be told to fail."""

from bisect import bisect_right
from collections.abc import Iterator

from headgate.clock import Clock
from headgate.eventlog.block import StoredBlock
from headgate.eventlog.interface import LogFull
from headgate.eventlog.log import BlockLog


class MemoryStorage:
    """Blocks in a list. While `failure` is set, nothing can be written."""

    def __init__(self) -> None:
        self._blocks: list[StoredBlock] = []
        self.failure = ""

    def last_seq(self) -> int:
        return self._blocks[-1].first_seq + self._blocks[-1].n - 1 if self._blocks else 0

    def first_seq(self) -> int:
        return self._blocks[0].first_seq if self._blocks else 1

    def last_crc(self) -> int:
        return self._blocks[-1].crc if self._blocks else 0

    def write(self, block: StoredBlock) -> None:
        if self.failure:
            raise LogFull(self.failure)
        self._blocks.append(block)

    def blocks(self, after_seq: int) -> Iterator[StoredBlock]:
        at = bisect_right(self._blocks, after_seq + 1, key=lambda block: block.first_seq) - 1
        for block in self._blocks[max(at, 0) :]:
            if block.first_seq + block.n > after_seq + 1:
                yield block

    def trouble(self) -> str:
        return self.failure

    def close(self) -> None:
        """Nothing to let go of; the blocks stay, so that a log can be opened on them again."""


def memory_log(clock: Clock, storage: MemoryStorage | None = None) -> BlockLog:
    """A log in memory, on a storage of its own or one that an earlier log wrote."""
    return BlockLog(storage or MemoryStorage(), clock)
