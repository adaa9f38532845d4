"""Messages that were read and must wait, for which no memory is set aside: only their numbers are kept, 8 bytes each.

When more waits than fits in memory, and none of it may go (users over their limit, users whose messages
keep failing), the rest of those users' lanes is parked here, so that reading can go on and the others'
messages pass. A parked lane is read from the log again when its turn comes. Pure bookkeeping.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable


class Parked:
    """The numbers of parked messages by lane, ascending in each."""

    def __init__(self) -> None:
        self._lanes: dict[str, array[int]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, identity: str) -> bool:
        return identity in self._lanes

    def add(self, identity: str, seq: int) -> None:
        """Park a message behind the others of its lane."""
        self._lanes.setdefault(identity, array("q")).append(seq)
        self._size += 1

    def add_before(self, identity: str, seqs: Iterable[int]) -> None:
        """Park messages in front of the others of their lane."""
        first = array("q", seqs)
        self._size += len(first)
        self._lanes[identity] = first + self._lanes.get(identity, array("q"))

    def first(self, identity: str, n: int) -> "array[int]":
        """The first `n` numbers of a lane."""
        return self._lanes[identity][:n]

    def drop(self, identity: str, seq: int) -> None:
        """The lane is no longer parked up to this number."""
        lane = self._lanes[identity]
        n = bisect_right(lane, seq)
        del lane[:n]
        self._size -= n
        if not lane:
            del self._lanes[identity]

    def oldest_seq(self) -> int:
        """The smallest number; ValueError when there is none."""
        return min(lane[0] for lane in self._lanes.values())

    def drain(self) -> Iterable[int]:
        """Takes every number out, in no order."""
        lanes, self._lanes, self._size = self._lanes, {}, 0
        return (seq for lane in lanes.values() for seq in lane)
