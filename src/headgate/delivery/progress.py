"""How far one destination has come in the log: what it owes, what is open, where its cursor stands. Pure."""

import heapq
from collections.abc import Callable, Iterable

from headgate.spec.message import Envelope


class Progress:
    """Which messages still have to be looked at, and up to where everything is settled."""

    def __init__(
        self, *, cursor: int, settled_above: set[int], owes: Callable[[Envelope], bool]
    ) -> None:
        self.owes = owes
        self._settled_above = settled_above
        self._frontier = cursor
        self._open: set[int] = set()
        self._oldest_open: list[int] = []
        self._again: set[int] = set()

    @property
    def cursor(self) -> int:
        """Every message up to this number is settled, or none of this destination's."""
        while self._oldest_open and self._oldest_open[0] not in self._open:
            heapq.heappop(self._oldest_open)
        return self._oldest_open[0] - 1 if self._oldest_open else self._frontier

    @property
    def open_count(self) -> int:
        """Messages that were read and are not settled."""
        return len(self._open)

    def wants(self, seq: int) -> bool:
        """Whether the message has to be looked at: it is new, or it was asked for again."""
        if seq <= self._frontier:
            return seq in self._again
        return seq not in self._settled_above

    def opened(self, seq: int) -> None:
        """The message is on its way."""
        self._again.discard(seq)
        if seq not in self._open:
            self._open.add(seq)
            heapq.heappush(self._oldest_open, seq)

    def closed(self, seqs: Iterable[int]) -> None:
        """The messages are settled."""
        self._open.difference_update(seqs)
        self._again.difference_update(seqs)

    def again(self, seqs: Iterable[int]) -> None:
        """The messages, which are open, will be read from the log once more."""
        self._again.update(seqs)

    def read_to(self, seq: int) -> None:
        """Everything up to this number has been looked at."""
        if seq <= self._frontier:
            return
        self._frontier = seq
        if self._settled_above:
            self._settled_above = {one for one in self._settled_above if one > seq}
