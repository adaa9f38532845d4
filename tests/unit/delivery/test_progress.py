"""Where a destination's cursor stands, against a model that remembers everything."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.delivery.progress import Progress
from headgate.spec.message import Envelope

ENVELOPE = Envelope("web", 0, 1)


def progress(cursor: int = 0, settled: tuple[range, ...] = ()) -> Progress:
    """Of a destination that owes everything."""
    return Progress(cursor=cursor, settled_above=settled, owes=lambda envelope: True)


class ProgressMachine(RuleBasedStateMachine):
    """Messages are read, opened, parked, asked for again and settled in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.settled_before = {3, 4, 5, 9, 30}
        self.progress = progress(2, (range(1, 6), range(9, 10), range(4, 5), range(30, 31)))
        self.read_to = 2
        self.open: set[int] = set()
        self.parked: set[int] = set()
        self.again: set[int] = set()

    @rule(n=st.integers(1, 8), parks=st.booleans())
    def read(self, n: int, parks: bool) -> None:
        for seq in range(self.read_to + 1, self.read_to + n + 1):
            assert self.progress.wants(seq, ENVELOPE) is (seq not in self.settled_before)
            if seq in self.settled_before or seq % 4 == 0:
                continue
            if parks:
                self.parked.add(seq)
                self.progress.parked.add("user", seq)
            else:
                self.open.add(seq)
                self.progress.opened(seq, seq)
        self.read_to += n
        self.progress.has_read_to(self.read_to)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        some = data.draw(st.sets(st.sampled_from(sorted(self.open))))
        self.open -= some
        self.progress.closed(some)

    @rule()
    def ask_again_for_everything(self) -> None:
        self.progress.closed(self.open)
        self.progress.ask_again(self.open)
        self.progress.ask_again(self.progress.parked.drain())
        self.again |= self.open | self.parked
        self.open, self.parked = set(), set()

    @rule(n=st.integers(1, 5))
    def read_again(self, n: int) -> None:
        numbers = list(self.progress.again(n))
        assert numbers == sorted(self.again)[:n]
        for seq in numbers:
            self.progress.opened(seq, seq)
        self.progress.has_read_again(n)
        self.again.difference_update(numbers)
        self.open.update(numbers)

    @invariant()
    def the_cursor_stands_below_the_oldest_unsettled_message(self) -> None:
        unsettled = self.open | self.parked | self.again
        assert self.progress.cursor == min(unsettled, default=self.read_to + 1) - 1
        assert self.progress.pending == len(unsettled)
        assert self.progress.open_count == len(self.open)
        assert self.progress.open_bytes == sum(self.open)


ProgressMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestProgress = ProgressMachine.TestCase


def test_messages_of_others_are_not_wanted() -> None:
    """What the destination does not owe is passed over, and the cursor with it."""
    mine = Progress(cursor=0, settled_above=(), owes=lambda envelope: envelope.source == "app")
    assert not mine.wants(1, ENVELOPE)
    mine.has_read_to(10)
    assert mine.cursor == 10


def test_millions_settled_above_the_cursor_cost_a_byte_each() -> None:
    """One message that waits for hours does not make a restart dear."""
    mine = progress(1, (range(2, 5_000_000),))
    assert mine.is_settled(4_999_999)
    assert not mine.is_settled(5_000_000)
    mine.has_read_to(5_000_000)
    assert not mine.is_settled(2)


def test_the_cursor_is_about_live_messages_alone() -> None:
    """A replayed one below it, in memory or parked, is counted and does not move it back."""
    found = progress(10)
    found.opened_again(4, 100)
    found.parked.add("ann", 3)
    assert (found.cursor, found.pending, found.open_count, found.behind_count) == (10, 2, 0, 1)
    found.opened(12, 7)
    found.has_read_to(12)
    assert (found.cursor, found.open_bytes) == (11, 107)
    found.closed([4, 12])
    assert (found.cursor, found.open_bytes, found.behind_count) == (12, 0, 0)
