"""Replays: messages that have their outcome and are sent again. Between the request of the command line, the
store and a courier's intake.

A replay's profile writes and its events go different ways. The events are not ordered against anything but
the writes of the same user, which go before them. The writes are ordered per user, over all open replays
of the destination; and because an older value must not land after a newer one, nothing live of the user
goes before them either. What is sent again therefore includes every later profile write of the same
users: those up to `planned_to` are in the request, those after it are found when it is taken up.

Of a message only its number is kept here, and of a profile write a hash of its user: 22 bytes at most.
"""

from array import array
from collections import Counter

import msgspec
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from headgate.delivery.facts import FAILED, Facts, Outcome
from headgate.delivery.fold import Seqs
from headgate.delivery.positions import pack, runs, unpack

Owners = npt.NDArray[np.uint64]
At = npt.NDArray[np.intp]  # places in an array


class Wanted(msgspec.Struct, frozen=True):
    """Messages of one destination that are to be sent again, as packed positions.

    `writes` are profile writes by user (`Row.identity`): those asked for, and every later one of the same
    users up to the request's `planned_to`, whatever became of it; what has no outcome yet is left out
    when the replay is taken up, and goes in its turn. `events` is everything else, also what would be
    discarded again.
    """

    writes: dict[str, bytes]
    events: bytes


class ReplayRequest(msgspec.Struct, frozen=True):
    """What somebody asks for. `name` is unique, `criteria` is for people.

    `planned_to` is the number of the newest message that was looked at when it was planned.
    """

    name: str
    asked_at_ms: int
    criteria: str
    planned_to: int
    destinations: dict[int, Wanted]


_decode_request = msgspec.msgpack.Decoder(ReplayRequest).decode


def encode(request: ReplayRequest) -> bytes:
    """The request as a file holds it."""
    return msgspec.msgpack.encode(request)


def decode(stored: bytes) -> ReplayRequest:
    """The request; msgspec.DecodeError when it is none."""
    return _decode_request(stored)


class Writes(msgspec.Struct, frozen=True):
    """Profile writes: ascending numbers, and for each the hash of its user."""

    seqs: Seqs
    owners: Owners

    @classmethod
    def of(cls, seqs: Seqs, owners: Owners) -> "Writes":
        """Numbers with their users' hashes, in any order, each perhaps more than once."""
        found, first = np.unique(seqs, return_index=True)
        return cls(found, owners[first])

    def __len__(self) -> int:
        return len(self.seqs)

    def of_owners(self, others: "Writes") -> "Writes":
        """Those of users who have some among the others."""
        return self._chosen(np.isin(self.owners, others.owners))

    def only(self, seqs: Seqs) -> "Writes":
        """Those that are among these numbers."""
        return self._chosen(np.isin(self.seqs, seqs))

    def _chosen(self, chosen: npt.NDArray[np.bool_]) -> "Writes":
        return Writes(self.seqs[chosen], self.owners[chosen])


class Taken(msgspec.Struct, frozen=True):
    """The messages of one replay; the events' numbers ascend."""

    writes: Writes
    events: Seqs

    @classmethod
    def of(cls, wanted: Wanted) -> "Taken":
        """The messages of a request, each once; what is both is a profile write."""
        seqs, owners = array("q"), array("Q")
        for identity, positions in wanted.writes.items():
            seqs.extend(unpack(positions))
            owners.extend([owner_of(identity)] * (len(seqs) - len(owners)))
        writes = Writes.of(np.array(seqs, np.int64), np.array(owners, np.uint64))
        return cls(writes, np.setdiff1d(_numbers(wanted.events), writes.seqs))

    def __len__(self) -> int:
        return len(self.writes) + len(self.events)

    @property
    def seqs(self) -> Seqs:
        """All of them, ascending."""
        return np.sort(np.concatenate((self.writes.seqs, self.events)))

    def joined_by(self, later: Writes) -> "Taken":
        """These and some profile writes more."""
        writes = Writes.of(
            np.concatenate((self.writes.seqs, later.seqs)),
            np.concatenate((self.writes.owners, later.owners)),
        )
        return Taken(writes, np.setdiff1d(self.events, writes.seqs))

    def only(self, seqs: Seqs) -> "Taken":
        """Those that are among these numbers."""
        return Taken(self.writes.only(seqs), self.events[np.isin(self.events, seqs)])


def owner_of(identity: str) -> int:
    """What stands for a user here."""
    return xxh3_64_intdigest(identity.encode("utf-8", "surrogatepass"))


def packed(messages: Taken) -> bytes:
    """The messages as the store keeps them with the replay."""
    return msgspec.msgpack.encode(
        (
            pack(messages.writes.seqs.tolist()),
            messages.writes.owners.tobytes(),
            pack(messages.events.tolist()),
        )
    )


def unpacked(stored: bytes) -> Taken:
    """The messages of a stored replay."""
    writes, owners, events = msgspec.msgpack.decode(stored, type=tuple[bytes, bytes, bytes])
    return Taken(Writes(_numbers(writes), np.frombuffer(owners, np.uint64)), _numbers(events))


def _numbers(positions: bytes) -> Seqs:
    found = [np.arange(run.start, run.stop, dtype=np.int64) for run in runs(positions)]
    return np.concatenate(found) if found else np.empty(0, np.int64)


_SETTLED = 0
_TO_READ = 1
_READ = 2  # in memory or parked
_LIVE = 3  # a profile write that goes with the live messages of its user, which wait for it


class _Positions:
    """Numbers, ascending, each with what has become of it."""

    def __init__(self, seqs: Seqs, replays: npt.NDArray[np.uint16]) -> None:
        self.seqs = seqs
        self.replays = replays  # whose each of them is
        self.states = np.full(len(seqs), _TO_READ, np.uint8)
        self._settled_to = 0
        self._read_to = 0

    def find(self, wanted: Seqs) -> At:
        """Where those of the numbers stand that are here and not settled."""
        if not len(self.seqs):
            return np.empty(0, np.intp)
        at = np.minimum(np.searchsorted(self.seqs, wanted), len(self.seqs) - 1)
        found: At = at[(self.seqs[at] == wanted) & (self.states[at] != _SETTLED)]
        return found

    def to_read(self, n: int) -> Seqs:
        """Some of the next that are to be read, at most `n`; empty when there is none left."""
        while self._read_to < len(self.seqs):
            window = slice(self._read_to, self._read_to + n)
            found: Seqs = self.seqs[window][self.states[window] == _TO_READ]
            if len(found):
                return found
            self._read_to += n
        return self.seqs[:0]

    def put_back(self, seqs: Seqs) -> None:
        """Those of the numbers that are here are to be read again."""
        self.states[self.find(seqs)] = _TO_READ
        self._read_to = 0

    def oldest(self) -> int | None:
        """The smallest number that is not settled."""
        while self._settled_to < len(self.seqs) and not self.states[self._settled_to]:
            self._settled_to += 1
        return int(self.seqs[self._settled_to]) if self._settled_to < len(self.seqs) else None

    def left(self) -> npt.NDArray[np.bool_]:
        """Which are not settled."""
        found: npt.NDArray[np.bool_] = self.states != _SETTLED
        return found


class Replays:
    """The open replays of one destination: what is left of them, and what has to go before what."""

    def __init__(self, destination: int) -> None:
        self._destination = destination
        self._begin()

    def _begin(self) -> None:
        self._names: list[str] = []
        self._events: list[_Positions] = []  # of one replay each, the oldest first
        self._writes = _Positions(np.empty(0, np.int64), np.empty(0, np.uint16))
        self._owners: Owners = np.empty(0, np.uint64)
        self._by_owner: At = np.empty(0, np.intp)
        self._sorted_owners = self._owners
        self.left = 0

    @property
    def is_open(self) -> bool:
        """Whether anything is left to be sent again."""
        return self.left > 0

    def open(self, name: str, messages: Taken) -> None:
        """These are to be sent again, after those of earlier replays. Nothing of them is left in another."""
        number = len(self._names)
        self._names.append(name)
        self._events.append(_Positions(messages.events, _all(number, len(messages.events))))
        self._add_writes(messages, number)
        self.left += len(messages)

    def oldest_seq(self) -> int | None:
        """The smallest number that is not settled again."""
        found = [positions.oldest() for positions in (self._writes, *self._events)]
        return min((seq for seq in found if seq is not None), default=None)

    # reading

    def to_read(self, n: int) -> Seqs:
        """What is to be read next, at most `n`, ascending: writes first, then events, replay by replay."""
        for positions in (self._writes, *self._events):
            found = positions.to_read(n)
            if len(found):
                return found
        return self._writes.seqs[:0]

    @property
    def writes_are_read(self) -> bool:
        """Whether every profile write that is not settled again has been read."""
        return not len(self._writes.to_read(1))

    def take(self, seqs: list[int]) -> dict[int, bool]:
        """Those of the numbers that are still to be read, and whether each is a profile write.

        They count as read from now on.
        """
        wanted = np.array(seqs, np.int64)
        found: dict[int, bool] = {}
        for positions in (self._writes, *self._events):
            at = positions.find(wanted)
            at = at[positions.states[at] == _TO_READ]
            positions.states[at] = _READ
            found.update(dict.fromkeys(positions.seqs[at].tolist(), positions is self._writes))
        return found

    def put_back(self, seqs: Seqs) -> Seqs:
        """Numbers of messages that left memory: the replayed ones are to be read again, the others returned."""
        others = seqs
        for positions in (self._writes, *self._events):
            replayed = positions.seqs[positions.find(seqs)]
            positions.put_back(replayed)
            others = np.setdiff1d(others, replayed, assume_unique=True)
        return others

    def held(self, seqs: list[int]) -> set[int]:
        """Those of the numbers that are replayed and not settled again."""
        if not self.is_open:
            return set()
        wanted = np.array(seqs, np.int64)
        return {
            seq
            for positions in (self._writes, *self._events)
            for seq in positions.seqs[positions.find(wanted)].tolist()
        }

    @property
    def being_sent(self) -> int:
        """How many were read and are not settled again."""
        found = (positions.states > _TO_READ for positions in (self._writes, *self._events))
        return sum(int(np.count_nonzero(read)) for read in found)

    # order

    def has_writes(self, identity: str) -> bool:
        """Whether profile writes of the user are not settled again."""
        return bool(len(self._writes_of(identity)))

    def make_live(self, identity: str) -> list[int]:
        """The user's profile writes go with the live messages from now on: those that are to be read yet."""
        at = self._writes_of(identity)
        to_read: list[int] = self._writes.seqs[at[self._writes.states[at] == _TO_READ]].tolist()
        self._writes.states[at] = _LIVE
        return to_read

    def is_live(self, identity: str) -> bool:
        """Whether the user's lane goes with the live ones: no replayed writes, or live ones behind them."""
        states = self._writes.states[self._writes_of(identity)]
        return not len(states) or bool((states == _LIVE).any())

    # outcomes

    def settled(self, seqs: list[int], outcome: Outcome) -> Facts:
        """What is to be recorded together with an outcome of these messages, replayed or not."""
        facts = Facts()
        if not self.is_open:
            return facts
        wanted = np.array(seqs, np.int64)
        for positions in (self._writes, *self._events):
            at = positions.find(wanted)
            positions.states[at] = _SETTLED
            self.left -= len(at)
            counted = Counter(positions.replays[at].tolist())
            facts.replayed.update(
                {(self._names[of], self._destination): n for of, n in counted.items()}
            )
            if outcome != FAILED:
                facts.recovered += [(self._destination, seq) for seq in positions.seqs[at].tolist()]
        if not self.is_open:
            self._begin()
        return facts

    def _add_writes(self, messages: Taken, number: int) -> None:
        """The writes of all replays stand together, so that each user's are in order."""
        old = self._writes
        left = old.left()
        seqs = np.concatenate((old.seqs[left], messages.writes.seqs))
        owners = np.concatenate((self._owners[left], messages.writes.owners))
        replays = np.concatenate((old.replays[left], _all(number, len(messages.writes))))
        order = np.argsort(seqs)
        self._writes = _Positions(seqs[order], replays[order])
        self._owners = owners[order]
        self._by_owner = np.argsort(self._owners, kind="stable")
        self._sorted_owners = self._owners[self._by_owner]

    def _writes_of(self, identity: str) -> At:
        """Where the user's writes that are not settled stand, ascending."""
        if not len(self._sorted_owners):
            return self._by_owner
        owner = np.uint64(owner_of(identity))
        first = np.searchsorted(self._sorted_owners, owner, "left")
        end = np.searchsorted(self._sorted_owners, owner, "right")
        at = self._by_owner[first:end]
        found: At = at[self._writes.states[at] != _SETTLED]
        return found


def _all(number: int, n: int) -> npt.NDArray[np.uint16]:
    return np.full(n, number, np.uint16)
