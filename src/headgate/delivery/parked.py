"""Messages that were read and must wait, for which no memory is set aside: only their numbers are kept, 8 bytes each.

When more waits than fits in memory, and none of it may go (users over their limit, users whose messages
keep failing, messages behind replayed ones), the rest of those lanes is parked here, so that reading can
go on and the others' messages pass. A parked lane is read from the log again when its turn comes. Pure
bookkeeping.
"""

from array import array
from bisect import bisect_right, insort
from collections.abc import Iterable

from headgate.delivery.lanes import Lane


class Parked:
    """The numbers of parked messages by lane, ascending in each."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, array[int]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, lane: Lane) -> bool:
        return lane in self._lanes

    def add(self, lane: Lane, seq: int) -> None:
        """Park a message."""
        parked = self._lanes.setdefault(lane, array("q"))
        if not parked or seq > parked[-1]:
            parked.append(seq)
        else:
            insort(parked, seq)
        self._size += 1

    def add_all(self, lane: Lane, seqs: Iterable[int]) -> None:
        """Park messages of one lane."""
        more = array("q", seqs)
        self._size += len(more)
        self._lanes[lane] = array("q", sorted((*more, *self._lanes.get(lane, ()))))

    def first(self, lane: Lane, n: int) -> "array[int]":
        """The first `n` numbers of a lane."""
        return self._lanes[lane][:n]

    def all(self, lane: Lane) -> "array[int]":
        """The numbers of a lane."""
        return self._lanes[lane]

    def drop(self, lane: Lane, seq: int) -> None:
        """The lane is no longer parked up to this number."""
        parked = self._lanes[lane]
        n = bisect_right(parked, seq)
        del parked[:n]
        self._size -= n
        if not parked:
            del self._lanes[lane]

    def oldest_above(self, seq: int) -> int | None:
        """The smallest number of a user's own lane above `seq`; None when there is none."""
        found = (
            parked[at]
            for lane, parked in self._lanes.items()
            if isinstance(lane, str) and (at := bisect_right(parked, seq)) < len(parked)
        )
        return min(found, default=None)

    def longest(self) -> int:
        """How many messages of one user are parked at most."""
        return max(map(len, self._lanes.values()), default=0)

    def replayed(self) -> list[Lane]:
        """The lanes of users' replayed events."""
        return [lane for lane in self._lanes if not isinstance(lane, str)]

    def drain(self) -> Iterable[int]:
        """Takes every number out, in no order."""
        lanes, self._lanes, self._size = self._lanes, {}, 0
        return (seq for lane in lanes.values() for seq in lane)
