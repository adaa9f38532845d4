"""How far one destination has come in the log: what it owes, what is open, where its cursor stands. Pure.

A message that was read and is not settled is exactly one of: open (in memory), parked (its number is
kept, its lane is read again when it may go), deferred (nobody waits for it), or asked for again (read again
before anything else).
Replayed messages are counted apart: the cursor is about the others alone.
"""

import heapq
from array import array
from collections.abc import Callable, Iterable

import numpy as np

from headgate.delivery.deferred import Deferred
from headgate.delivery.parked import Parked
from headgate.spec.message import Envelope


class Progress:
    """Which messages still have to be looked at, and up to where everything is settled."""

    def __init__(
        self, *, cursor: int, settled_above: Iterable[range], owes: Callable[[Envelope], bool]
    ) -> None:
        self.owes = owes
        self.parked = Parked()
        self.deferred = Deferred()
        self.read_to = cursor
        self.open_bytes = 0
        self.closed_count = 0  # how many messages have left memory so far
        self._cursor = cursor
        self._open: dict[int, int] = {}
        self._open_replayed: dict[int, int] = {}
        self._open_deferred: dict[int, int] = {}
        self._oldest_open: list[int] = []
        self._again = array("q")
        self._settled_from = cursor + 1
        self._settled = bytearray()  # one byte for each message from `_settled_from`
        self._mark(settled_above)

    @property
    def cursor(self) -> int:
        """Every message up to this number is settled, replays apart, or none of this destination's."""
        while self._oldest_open and not self._is_open(self._oldest_open[0]):
            heapq.heappop(self._oldest_open)
        unsettled = [*self._oldest_open[:1], *self._again[:1]]
        elsewhere = self.parked.oldest_above(self._cursor), self.deferred.oldest()
        unsettled += [seq for seq in elsewhere if seq is not None]
        self._cursor = min(unsettled) - 1 if unsettled else self.read_to
        self.deferred.let_go(self._cursor)
        return self._cursor

    @property
    def open_count(self) -> int:
        """Messages that are in memory, replayed and deferred ones apart."""
        return len(self._open)

    @property
    def behind_count(self) -> int:
        """Replayed and deferred messages that are in memory."""
        return len(self._open_replayed) + len(self._open_deferred)

    @property
    def out_of_memory_count(self) -> int:
        """Messages that were read and of which only numbers are kept until it is their turn."""
        return len(self.parked) + len(self.deferred)

    @property
    def has_deferred(self) -> bool:
        """Whether any deferred message waits, or is in memory."""
        return bool(self.deferred or self._open_deferred)

    @property
    def pending(self) -> int:
        """Messages that were read and are not settled, replayed ones included."""
        in_memory = self.open_count + self.behind_count
        return in_memory + self.out_of_memory_count + len(self._again)

    def wants(self, seq: int, envelope: Envelope) -> bool:
        """Whether a message above `read_to` has to be looked at: it is owed and not settled."""
        return not self.is_settled(seq) and self.owes(envelope)

    def is_settled(self, seq: int) -> bool:
        """Whether an earlier process has settled this message, which is above the cursor."""
        at = seq - self._settled_from
        return 0 <= at < len(self._settled) and bool(self._settled[at])

    def has_read_to(self, seq: int) -> None:
        """Everything up to this number has been looked at."""
        self.read_to = max(self.read_to, seq)
        if self._settled and seq >= self._settled_from + len(self._settled):
            self._settled = bytearray()

    def opened(self, seq: int, size_bytes: int) -> None:
        """The message is on its way."""
        opened = self._open_deferred if seq in self.deferred else self._open
        opened[seq] = size_bytes
        self.open_bytes += size_bytes
        heapq.heappush(self._oldest_open, seq)

    def opened_again(self, seq: int, size_bytes: int) -> None:
        """The replayed message is on its way."""
        self._open_replayed[seq] = size_bytes
        self.open_bytes += size_bytes

    def closed(self, seqs: Iterable[int]) -> None:
        """The messages are settled, or no longer in memory."""
        for seq in seqs:
            self.open_bytes -= self._open.pop(seq, 0) + self._open_replayed.pop(seq, 0)
            self.open_bytes -= self._open_deferred.pop(seq, 0)
            self.closed_count += 1

    def ask_again(self, seqs: Iterable[int]) -> None:
        """These messages, which are not settled, are to be read once more, before anything else."""
        found = np.concatenate((np.array(self._again, np.int64), np.fromiter(seqs, np.int64)))
        self._again = array("q", np.sort(found).tobytes())

    def again(self, n: int) -> "array[int]":
        """The first `n` numbers that are to be read once more."""
        return self._again[:n]

    def has_read_again(self, n: int) -> None:
        """The first `n` of them have been looked at."""
        del self._again[:n]

    def _is_open(self, seq: int) -> bool:
        return seq in self._open or seq in self._open_deferred

    def _mark(self, settled: Iterable[range]) -> None:
        for run in settled:
            start = max(run.start - self._settled_from, 0)
            end = run.stop - self._settled_from
            if end <= start:
                continue
            if end > len(self._settled):
                self._settled.extend(bytes(end - len(self._settled)))
            self._settled[start:end] = b"\x01" * (end - start)
