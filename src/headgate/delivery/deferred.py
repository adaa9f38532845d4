"""Messages that nobody waits for, read and left in the log until nothing live waits: 17 bytes are kept of each.

What Engage says of everybody at once arrives within seconds, and takes a destination minutes or hours. The
intake notes such messages here as it reads on, and reads some of them again whenever what is live leaves
room. A live message of a user takes the user's deferred ones along, so that each user's stay in order. Pure
bookkeeping.
"""

from array import array
from bisect import bisect_left, bisect_right

import numpy as np
import numpy.typing as npt

from headgate.delivery.fold import Seqs
from headgate.delivery.replays import Owners, owner_of

_FOUND_ONE_BY_ONE = 10_000

_At = npt.NDArray[np.intp]  # places in the lists


class Deferred:
    """The numbers of deferred messages, ascending, and a hash of whose they are.

    Each is waiting, or has been taken: then it is in memory, parked or settled.
    """

    def __init__(self) -> None:
        self._seqs = array("q")
        self._owners = array("Q")
        self._is_waiting = bytearray()
        self._waiting = 0
        self._first = 0  # nothing before this place is waiting
        self._index()

    def __len__(self) -> int:
        """How many are waiting."""
        return self._waiting

    def __contains__(self, seq: int) -> bool:
        """Whether the message was deferred, waiting or not."""
        at = bisect_left(self._seqs, seq)
        return at < len(self._seqs) and self._seqs[at] == seq

    def add(self, seq: int, identity: str) -> None:
        """This user's message, which came after all the others, is waiting."""
        owner = owner_of(identity)
        self._newest_of.setdefault(owner, []).append(len(self._seqs))
        self._seqs.append(seq)
        self._owners.append(owner)
        self._is_waiting.append(True)
        self._waiting += 1
        if len(self._newest_of) > max(_FOUND_ONE_BY_ONE, len(self._seqs) // 8):
            self._index()

    def oldest(self) -> int | None:
        """The smallest number that is waiting; None when none is."""
        at = self._next()
        return self._seqs[at] if at >= 0 else None

    def first(self, n: int) -> list[int]:
        """The first `n` numbers that are waiting."""
        found: list[int] = []
        at = self._next()
        while at >= 0 and len(found) < n:
            found.append(self._seqs[at])
            at = self._is_waiting.find(True, at + 1)
        return found

    def take(self, seqs: list[int]) -> list[int]:
        """Those of the numbers that are waiting; they are taken."""
        places = (bisect_left(self._seqs, seq) for seq in seqs)
        return [self._take(at) for at in places if self._is_waiting[at]]

    def take_of(self, identity: str) -> list[int]:
        """Those of a user that are waiting; they are taken."""
        if not self._waiting:
            return []
        return [self._take(at) for at in self._of(owner_of(identity)) if self._is_waiting[at]]

    def put_back(self, seqs: Seqs) -> Seqs:
        """Numbers of messages that left memory: the deferred ones are waiting again, the others returned."""
        if not self._seqs:
            return seqs
        mine = np.isin(seqs, np.array(self._seqs, np.int64))
        for seq in seqs[mine].tolist():
            at = bisect_left(self._seqs, seq)
            self._is_waiting[at] = True
            self._first = min(self._first, at)
        self._waiting += int(np.count_nonzero(mine))
        return seqs[~mine]

    def let_go(self, seq: int) -> None:
        """Everything up to this number is settled: it is forgotten, once that is more than half."""
        n = bisect_right(self._seqs, seq)
        if n <= len(self._seqs) // 2:
            return
        del self._seqs[:n], self._owners[:n], self._is_waiting[:n]
        self._first = max(0, self._first - n)
        self._index()

    def _next(self) -> int:
        """The place of the first that is waiting; -1: none is."""
        at = self._is_waiting.find(True, self._first)
        self._first = at if at >= 0 else len(self._seqs)
        return at

    def _take(self, at: int) -> int:
        self._is_waiting[at] = False
        self._waiting -= 1
        return self._seqs[at]

    def _of(self, owner: int) -> list[int]:
        """The places of an owner's, ascending."""
        first, end = (
            np.searchsorted(self._sorted_owners, np.uint64(owner), side)
            for side in ("left", "right")
        )
        return [*self._by_owner[first:end].tolist(), *self._newest_of.get(owner, ())]

    def _index(self) -> None:
        """Sorts by owner, so that an owner's are found; what comes later is found one by one."""
        owners = np.array(self._owners, np.uint64)
        self._by_owner: _At = np.argsort(owners, kind="stable")
        self._sorted_owners: Owners = owners[self._by_owner]
        self._newest_of: dict[int, list[int]] = {}
