"""Per-user order: a model of every lane, whatever is taken, split, put back, shortened and released."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.delivery.lanes import (
    Batch,
    Lanes,
    Pending,
    Run,
    affordable,
    first_message,
    partition,
    split,
)
from headgate.destinations.interface import Endpoint, Row

TRACK = Endpoint("track", max_rows=5, max_body_bytes=60, writes_profile=False)
PROFILE = Endpoint("profile", max_rows=3, max_body_bytes=60, writes_profile=True)
ENDPOINTS = {"track": TRACK, "profile": PROFILE}
USERS = "abc"


def pending(seq: int, user: str = "a", endpoint: str = "track", size: int = 10) -> Pending:
    """A message whose row takes `size` bytes with its comma."""
    return Pending(seq, Row(endpoint, user, b"x" * (size - 1)), f"m{seq}")


def lanes(*messages: Pending) -> Lanes:
    """Lanes in which these messages wait."""
    made = Lanes(ENDPOINTS)
    for message in messages:
        made.add(message)
    return made


def plenty(identity: str, wanted: int) -> int:
    """No user is limited."""
    return wanted


def take(made: Lanes, endpoint: str = "track", max_rows: int = 99) -> list[list[int]]:
    """The numbers of the next batch, run by run."""
    batch = made.take(endpoint, max_rows, plenty)
    return [[message.seq for message in run.messages] for run in batch.runs]


def batch_of(**runs: list[int]) -> Batch:
    """A batch of events by user."""
    return Batch(
        "track", [Run(user, [pending(seq, user) for seq in seqs]) for user, seqs in runs.items()]
    )


class LanesMachine(RuleBasedStateMachine):
    """Lanes beside a model: of each user's messages, how far they are settled."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes(ENDPOINTS)
        self.seq = 0
        self.unsettled: dict[str, list[int]] = {user: [] for user in USERS}
        self.flying: list[Batch] = []

    @rule(user=st.sampled_from(USERS), endpoint=st.sampled_from(["track", "track", "profile"]))
    def add(self, user: str, endpoint: str) -> None:
        self.seq += 1
        self.unsettled[user].append(self.seq)
        self.lanes.add(pending(self.seq, user, endpoint, size=10 + self.seq % 3 * 20))

    @rule(max_rows=st.integers(1, 6), room=st.integers(0, 4), data=st.data())
    def take(self, max_rows: int, room: int, data: st.DataObject) -> None:
        endpoint = self.lanes.next_endpoint()
        if endpoint is None:
            assert all(user in self._held() or not self._in_memory(user) for user in USERS)
            return
        limited = data.draw(st.sampled_from(USERS))
        batch = self.lanes.take(
            endpoint, max_rows, lambda user, n: min(n, room) if user == limited else n
        )
        held = self._held()
        for run in batch.runs:
            assert run.identity not in held
            numbers = [message.seq for message in run.messages]
            assert numbers == self.unsettled[run.identity][: len(numbers)]
            assert run.identity != limited or len(numbers) <= room
            assert {message.row.endpoint for message in run.messages} == {endpoint}
            assert endpoint == "track" or len(numbers) == 1
        sizes = [len(message.row.encoded) + 1 for message in batch.messages()]
        assert len(sizes) <= min(max_rows, ENDPOINTS[endpoint].max_rows)
        assert sum(sizes) <= 60 or len(sizes) == 1
        if batch.runs:
            self.flying.append(batch)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        batch = self._land(data)
        for run in batch.runs:
            del self.unsettled[run.identity][: len(run.messages)]
        self.lanes.release(batch.identities)

    @precondition(lambda self: any(len(batch) > 1 for batch in self.flying))
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from([one for one in self.flying if len(one) > 1]))
        self.flying.remove(batch)
        first, others, rest = split(batch)
        self._fly(batch, [first, others], [rest])

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def probe(self, data: st.DataObject) -> None:
        batch = self._land(data)
        alone, others, rest = first_message(batch)
        assert alone.seqs == [min(batch.seqs)]
        self._fly(batch, [alone, others], [rest])

    @precondition(lambda self: self.flying)
    @rule(rows=st.integers(0, 5), room=st.integers(0, 3), data=st.data())
    def afford(self, rows: int, room: int, data: st.DataObject) -> None:
        batch = self._land(data)
        now, later, rests = affordable(batch, rows, lambda user, n: min(n, room))
        assert now is None or len(now) <= rows
        assert now is None or max(now.rows_by_user().values()) <= room
        self._fly(batch, [now, later], list(rests))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def map_again(self, data: st.DataObject) -> None:
        batch = self._land(data)
        for run in batch.runs:
            self.lanes.put_back(run.identity, run.messages)
        self.lanes.release(batch.identities)

    @rule(keep=st.integers(0, 3))
    def shorten(self, keep: int) -> None:
        """What is parked comes back by and by; here at once."""
        tails = self.lanes.shorten(keep)
        for user in USERS:
            parked = [message.seq for message in tails.get(user, [])]
            assert self.unsettled[user][len(self.unsettled[user]) - len(parked) :] == parked
            for message in tails.get(user, []):
                self.lanes.add(message)

    @invariant()
    def nothing_is_lost_and_no_lane_is_in_two_batches(self) -> None:
        held = Counter(user for batch in self.flying for user in batch.identities)
        assert all(n == 1 for n in held.values())
        flying = sum(map(len, self.flying))
        assert len(self.lanes) + flying == sum(map(len, self.unsettled.values()))
        assert all(self.lanes.is_idle(user) is not bool(self.unsettled[user]) for user in USERS)

    def _land(self, data: st.DataObject) -> Batch:
        batch: Batch = data.draw(st.sampled_from(self.flying))
        self.flying.remove(batch)
        return batch

    def _fly(self, whole: Batch, parts: list[Batch | None], rests: list[Run | None]) -> None:
        """The parts go on by themselves, the rests of runs go back in front of their lanes."""
        flying = [part for part in parts if part is not None]
        back = [rest for rest in rests if rest is not None]
        numbers = [message.seq for part in flying for message in part.messages()]
        numbers += [message.seq for rest in back for message in rest.messages]
        assert sorted(numbers) == whole.seqs
        for rest in back:
            assert any(rest.identity in part.identities for part in flying)
            self.lanes.put_back(rest.identity, rest.messages)
        self.flying += flying

    def _held(self) -> set[str]:
        return {user for batch in self.flying for user in batch.identities}

    def _in_memory(self, user: str) -> int:
        flying = sum(batch.rows_by_user().get(user, 0) for batch in self.flying)
        return len(self.unsettled[user]) - flying


LanesMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLanes = LanesMachine.TestCase


def test_a_profile_write_goes_alone_for_its_user() -> None:
    """The next one waits until its outcome is durable."""
    made = lanes(pending(1, "a", "profile"), pending(2, "a", "profile"), pending(3, "b", "profile"))
    assert take(made, "profile") == [[1], [3]]
    assert take(made, "profile") == []
    made.release(["a"])
    assert take(made, "profile") == [[2]]


def test_events_of_one_user_share_a_request_in_order_up_to_the_next_profile_write() -> None:
    """A run ends where the endpoint changes."""
    made = lanes(pending(1), pending(2), pending(3, "a", "profile"), pending(4))
    assert take(made) == [[1, 2]]
    made.release(["a"])
    assert take(made) == []
    assert made.next_endpoint() == "profile"


def test_the_oldest_ready_message_decides_which_endpoint_is_next() -> None:
    """Neither endpoint starves."""
    made = lanes(pending(1, "a", "profile"), pending(2, "b"))
    assert made.next_endpoint() == "profile"
    take(made, "profile")
    assert made.next_endpoint() == "track"
    take(made)
    assert made.next_endpoint() is None


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [
        ([30, 30, 30], [[1, 2]]),
        ([59, 2], [[1]]),
        ([61], [[1]]),  # too large for any request: it goes alone, and Heap decides
        ([500, 10], [[1]]),
    ],
)
def test_a_batch_keeps_to_the_body_size(sizes: list[int], runs: list[list[int]]) -> None:
    """But for a single message that is larger than that."""
    made = lanes(*(pending(seq, size=size) for seq, size in enumerate(sizes, 1)))
    assert take(made) == runs


def test_a_user_without_room_is_passed_over_and_stays_ready() -> None:
    """The hot user waits, others flow."""
    made = lanes(pending(1, "hot"), pending(2, "b"))
    batch = made.take("track", 9, lambda user, n: 0 if user == "hot" else n)
    assert batch.seqs == [2]
    assert take(made) == [[1]]


def test_a_batch_of_one_user_is_split_into_its_first_half_and_a_rest() -> None:
    """The rest must not be sent before the first half is settled."""
    first, others, rest = split(batch_of(a=[1, 2, 3]))
    assert (first.seqs, others) == ([1], None)
    assert rest is not None
    assert [message.seq for message in rest.messages] == [2, 3]


def test_a_batch_of_several_users_is_split_between_them() -> None:
    """Both halves may be sent at once."""
    first, others, rest = split(batch_of(a=[1, 2], b=[3], c=[4]))
    assert others is not None
    assert (first.identities, others.identities, rest) == (["a"], ["b", "c"], None)


def test_a_partition_takes_the_chosen_and_keeps_the_order_of_the_others() -> None:
    """Users of whom nothing is left drop out of the batch."""
    chosen, others = partition(batch_of(a=[1, 2, 3], b=[4]), lambda one: one.seq in (1, 4))
    assert [message.seq for message in chosen] == [1, 4]
    assert others is not None
    assert others.rows_by_user() == {"a": 2}
    assert partition(batch_of(a=[1]), lambda one: True)[1] is None


def test_lanes_that_stand_behind_are_asked_for_apart() -> None:
    """Until something live joins them; a user's replayed events are in a lane of their own."""
    made = Lanes(ENDPOINTS)
    made.add(pending(1, "a"), behind=True)
    made.add(pending(2, "b"), behind=True)
    made.add(pending(3, "a"), ("a",), behind=True)
    assert made.next_endpoint() is None
    made.add(pending(4, "b"))
    assert take(made) == [[2, 4]]
    assert made.next_endpoint(behind=True) == "track"
    batch = made.take("track", 99, plenty, behind=True)
    assert batch.lanes == ["a", ("a",)]
    assert batch.rows_by_user() == {"a": 2}
    assert all(map(made.is_behind, batch.lanes))
    made.add(pending(5, "a"))
    made.release(batch.lanes)
    assert take(made) == [[5]]
    assert not made.is_behind(("a",))


def test_a_lane_that_is_brought_forward_or_parked_is_behind_no_more() -> None:
    """Also while its messages are in flight."""
    made = Lanes(ENDPOINTS)
    for seq, user in enumerate("abc", 1):
        made.add(pending(seq, user), behind=True)
    made.add(pending(4, "d"))
    made.bring_forward("b")
    assert take(made) == [[4], [2]]
    assert made.hold("e", behind=True)
    tails = made.shorten(0, only_behind=True)
    assert sorted(tails) == ["a", "c"]
    assert not made.is_behind("a")
    assert made.is_behind("e")
    assert made.next_endpoint(behind=True) is None
