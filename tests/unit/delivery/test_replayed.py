"""Open replays against a plain model, and what is stored of them."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.delivery.facts import DELIVERED, FAILED
from headgate.delivery.positions import pack
from headgate.delivery.replays import (
    ReplayRequest,
    Replays,
    Taken,
    Wanted,
    decode,
    encode,
    packed,
    unpacked,
)

USERS = ("ann", "bob", "cy")


def taken(writes: dict[str, list[int]], events: list[int]) -> Taken:
    """The messages of a request."""
    return Taken.of(Wanted({user: pack(seqs) for user, seqs in writes.items()}, pack(events)))


class ReplaysMachine(RuleBasedStateMachine):
    """Messages are replayed, read, put back, made live and settled; numbers are divisible by users."""

    def __init__(self) -> None:
        super().__init__()
        self.replays = Replays(7)
        self.unread: dict[int, str] = {}  # by number, whose replay it is
        self.read: dict[int, str] = {}
        self.opened = 0
        self.counted: Counter[str] = Counter()

    def is_write(self, seq: int) -> bool:
        return seq % 2 == 0

    def user(self, seq: int) -> str:
        return USERS[seq // 2 % 3]

    @rule(seqs=st.sets(st.integers(1, 60), max_size=20))
    def open(self, seqs: set[int]) -> None:
        fresh = sorted(seqs - set(self.unread) - set(self.read))
        self.put_everything_back()
        self.opened += 1
        name = f"r{self.opened}"
        writes: dict[str, list[int]] = {}
        for seq in filter(self.is_write, fresh):
            writes.setdefault(self.user(seq), []).append(seq)
        self.replays.open(name, taken(writes, [seq for seq in fresh if not self.is_write(seq)]))
        self.unread.update((seq, name) for seq in fresh)

    @rule()
    def put_everything_back(self) -> None:
        seqs = np.array(sorted([*self.read, 1_000]), np.int64)
        assert self.replays.put_back(seqs).tolist() == [1_000]
        self.unread |= self.read
        self.read = {}

    @rule(n=st.integers(1, 8), skip=st.integers(0, 3))
    def read_some(self, n: int, skip: int) -> None:
        found = self.replays.to_read(n).tolist()
        assert found == sorted(found)
        assert set(found) <= set(self.unread)
        assert bool(found) is bool(self.unread)
        writes = [seq for seq in self.unread if self.is_write(seq)]
        if writes:
            assert found[0] == min(writes)
        elif found:
            assert len({self.unread[seq] for seq in found}) == 1
        some = found[skip:]
        assert self.replays.take([*some, 1_000]) == {seq: self.is_write(seq) for seq in some}
        self.read.update((seq, self.unread.pop(seq)) for seq in some)

    @rule(user=st.sampled_from(USERS))
    def make_live(self, user: str) -> None:
        mine = {seq for seq in self.unread if self.is_write(seq) and self.user(seq) == user}
        assert self.replays.make_live(user) == sorted(mine)
        self.read.update((seq, self.unread.pop(seq)) for seq in mine)
        assert self.replays.is_live(user)

    @precondition(lambda self: self.read)
    @rule(data=st.data(), outcome=st.sampled_from([DELIVERED, FAILED]))
    def settle(self, data: st.DataObject, outcome: str) -> None:
        some = sorted(data.draw(st.sets(st.sampled_from(sorted(self.read)), min_size=1)))
        facts = self.replays.settled([*some, 1_000], outcome)  # type: ignore[arg-type]
        expected = Counter((self.read.pop(seq), 7) for seq in some)
        assert facts.replayed == expected
        recovered = [(7, seq) for seq in some] if outcome == DELIVERED else []
        assert sorted(facts.recovered) == recovered

    @invariant()
    def what_is_left_is_known(self) -> None:
        left = self.unread.keys() | self.read.keys()
        assert self.replays.left == len(left)
        assert self.replays.is_open is bool(left)
        assert self.replays.being_sent == len(self.read)
        assert self.replays.oldest_seq() == min(left, default=None)
        assert self.replays.held([*range(1, 70)]) == left
        for user in USERS:
            mine = [seq for seq in left if self.is_write(seq) and self.user(seq) == user]
            assert self.replays.has_writes(user) is bool(mine)


ReplaysMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestReplays = ReplaysMachine.TestCase


@given(
    st.dictionaries(st.sampled_from(USERS), st.lists(st.integers(1, 99), unique=True)),
    st.sets(st.integers(1, 99)),
)
def test_a_request_and_a_stored_replay_hold_each_message_once(
    by_user: dict[str, list[int]], others: set[int]
) -> None:
    """Through both of their forms; what is a profile write is no event."""
    writes = {user: pack(sorted(seqs)) for user, seqs in by_user.items()}
    request = ReplayRequest("r", 5, "all", 99, {7: Wanted(writes, pack(sorted(others)))})
    assert decode(encode(request)) == request
    found = unpacked(packed(Taken.of(request.destinations[7])))
    seqs = {seq for each in by_user.values() for seq in each}
    assert found.writes.seqs.tolist() == sorted(seqs)
    assert found.events.tolist() == sorted(others - seqs)
    assert found.seqs.tolist() == sorted(seqs | others)


def test_later_writes_join_and_only_what_was_chosen_stays() -> None:
    """With the users they belong to."""
    later = taken({"ann": [3, 9], "bob": [4]}, []).writes
    found = taken({"ann": [1, 3]}, [5, 9]).joined_by(
        later.of_owners(taken({"ann": [1]}, []).writes)
    )
    assert found.writes.seqs.tolist() == [1, 3, 9]
    assert found.events.tolist() == [5]
    chosen = found.only(np.array([3, 5]))
    assert (chosen.writes.seqs.tolist(), chosen.events.tolist()) == ([3], [5])
    assert chosen.writes.owners.tolist() == later.owners[:1].tolist()
