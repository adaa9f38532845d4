"""The selection: it finds what a plain look at every message finds, whatever is asked and however it is stored."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import factories
from data_dirs import NOW_MS, DataDir, destination, source
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED, REPLAYED, Facts, Outcome, Settled
from headgate.eventlog.interface import Arrival
from headgate.records.criteria import Criteria, Unknown
from headgate.records.selection import Selection
from headgate.records.stretches import Range
from headgate.spec.names import CALL_TYPE_CODES

MINUTE_MS = 60_000
SOURCES = ("website", "shop")
DESTINATIONS = {1: ("heap", "website"), 2: ("second", "website"), 3: ("shop-heap", "shop")}
USERS = ("ann", "bob", "")
TYPES = ("track", "identify", "page")
EVENTS = ("Bought", "Looked")
OUTCOMES: tuple[tuple[Outcome, str], ...] = (
    (DELIVERED, ""),
    (DISCARDED, "no_user_id"),
    (DISCARDED, "consent"),
    (FAILED, "refused"),
    (REPLAYED, ""),
)


class Message(NamedTuple):
    """A message of the log; each is received a minute after the one before it."""

    seq: int
    source: str
    type: str
    user: str
    event: str

    @property
    def id(self) -> str:
        """Its messageId."""
        return f"m-{self.seq}"

    @property
    def received_at_ms(self) -> int:
        """When it came."""
        return NOW_MS + self.seq * MINUTE_MS

    def arrival(self) -> Arrival:
        """The request that brings it."""
        raw = factories.message(self.id, type=self.type, userId=self.user, event=self.event)
        envelope = factories.envelope(source=self.source, received_at_ms=self.received_at_ms)
        code = CALL_TYPE_CODES[self.type]
        return Arrival(envelope, [raw], [self.id], [self.user], bytearray([code]))


class History(NamedTuple):
    """What was accepted, in blocks of some messages, and what is recorded of it, in order."""

    messages: list[Message]
    block: int
    segment: int
    facts: list[tuple[int, tuple[Outcome, str], frozenset[int]]]
    cursor: int

    def outcome(self, seq: int, destination_id: int) -> tuple[str, str]:
        """What the message is now, by looking through every fact."""
        found = [kind for to, kind, seqs in self.facts if to == destination_id and seq in seqs]
        if not found:
            return ("broken" if seq <= self.cursor else "pending", "")
        outcome, reason = found[-1]
        return ("pending", REPLAYED) if outcome == REPLAYED else (outcome, reason)

    def matches(self, criteria: Criteria) -> set[tuple[int, int, str, str]]:
        """(destination, number, outcome, reason) of all that fit, by looking at every message."""
        return {
            (id_, message.seq, *self.outcome(message.seq, id_))
            for message in self.messages
            for id_, (slug, connected_to) in DESTINATIONS.items()
            if connected_to == message.source
            and (not criteria.destinations or slug in criteria.destinations)
            and (not criteria.sources or message.source in criteria.sources)
            and (not criteria.users or message.user in criteria.users)
            and (not criteria.types or message.type in criteria.types)
            and (not criteria.events or message.event in criteria.events)
            and (not criteria.ids or message.id in criteria.ids)
            and criteria.received.holds(message.received_at_ms)
            and criteria.fits(*self.outcome(message.seq, id_))
        }


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    """None, one or several of the values."""
    return st.one_of(
        st.just(()), st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A dozen messages with random outcomes."""
    n = draw(st.integers(1, 14))
    messages = [
        Message(
            seq,
            draw(st.sampled_from(SOURCES)),
            draw(st.sampled_from(TYPES)),
            draw(st.sampled_from(USERS)),
            draw(st.sampled_from(EVENTS)),
        )
        for seq in range(1, n + 1)
    ]
    fact = st.tuples(
        st.sampled_from(sorted(DESTINATIONS)),
        st.sampled_from(OUTCOMES),
        st.frozensets(st.integers(1, n), min_size=1),
    )
    return History(
        messages,
        draw(st.integers(1, 5)),
        draw(st.sampled_from([4, 1000])),
        draw(st.lists(fact, max_size=6)),
        draw(st.integers(0, n)),
    )


@st.composite
def wishes(draw: st.DrawFn) -> Criteria:
    """Any criteria that could fit."""
    ends = st.none() | st.integers(0, 15).map(lambda n: NOW_MS + n * MINUTE_MS)
    return Criteria(
        received=Range(draw(ends), draw(ends)),
        sources=draw(some(*SOURCES)),
        destinations=draw(some(*(slug for slug, _ in DESTINATIONS.values()))),
        users=draw(some(*USERS)),
        types=draw(some(*TYPES)),
        events=draw(some(*EVENTS)),
        ids=draw(some("m-1", "m-3", "m-7", "nobody")),
        outcomes=draw(some(DELIVERED, DISCARDED, FAILED, "pending")),
        reasons=draw(some("refused", "consent")),
    )


@contextmanager
def written(history: History) -> Iterator[DataDir]:
    """The history as a data directory; windows are so small that a dozen messages need several."""
    with TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr("headgate.records.selection.STRETCH", 4)
        patch.setattr("headgate.records.selection._FIRST_WINDOW", 2)
        data_dir = DataDir(Path(path))
        data_dir.use(
            sources=[source(slug) for slug in SOURCES],
            destinations=[destination(*one) for one in DESTINATIONS.values()],
        )
        arrivals = [message.arrival() for message in history.messages]
        blocks = [
            arrivals[at : at + history.block] for at in range(0, len(arrivals), history.block)
        ]
        data_dir.append_blocks(*blocks, segment_messages=history.segment)
        data_dir.record(
            Facts(
                settled=[
                    Settled(to, outcome, reason, "", NOW_MS, sorted(seqs))
                    for to, (outcome, reason), seqs in history.facts
                ],
                cursors=dict.fromkeys(DESTINATIONS, history.cursor),
            )
        )
        yield data_dir


@contextmanager
def selecting(data_dir: DataDir, criteria: Criteria) -> Iterator[Selection]:
    """A selection from the directory."""
    with data_dir.opened() as stored:
        facts = stored.facts()
        with closing(facts) if facts else nullcontext():
            yield Selection(stored, facts, criteria)


def selected(data_dir: DataDir, criteria: Criteria) -> list[tuple[int, int, str, str]]:
    """(destination, number, outcome, reason) of all that fit, oldest first."""
    with selecting(data_dir, criteria) as selection:
        return [
            (fit.destination, seq, fit.outcome, fit.reason)
            for fits in selection.oldest_first()
            for fit in fits
            for seq in fit.seqs
        ]


def selected_by_window(data_dir: DataDir, criteria: Criteria) -> list[list[tuple[int, int]]]:
    """(destination, number) of all that fit, newest window first."""
    with selecting(data_dir, criteria) as selection:
        return [
            [(fit.destination, seq) for fits in window for fit in fits for seq in fit.seqs]
            for window in selection.newest_first()
        ]


@given(history=histories(), asked=st.lists(wishes(), min_size=1, max_size=8))
@settings(deadline=None, max_examples=15)
def test_it_finds_what_a_look_at_every_message_finds(
    history: History, asked: list[Criteria]
) -> None:
    """Each once, whatever is asked for, in blocks and segments of any size."""
    with written(history) as data_dir:
        for criteria in asked:
            found = selected(data_dir, criteria)
            assert len(found) == len(set(found))
            assert set(found) == history.matches(criteria)


@given(history=histories(), asked=st.lists(wishes(), min_size=1, max_size=8))
@settings(deadline=None, max_examples=15)
def test_the_newest_come_first_when_asked_so(history: History, asked: list[Criteria]) -> None:
    """Window by window from the end, and nothing is found twice or missed at a window's border."""
    with written(history) as data_dir:
        for criteria in asked:
            windows = selected_by_window(data_dir, criteria)
            ends = [[seq for _, seq in window] for window in windows if window]
            assert all(min(newer) > max(older) for newer, older in pairwise(ends))
            found = [place for window in windows for place in window]
            assert sorted(found) == sorted((to, seq) for to, seq, *_ in history.matches(criteria))


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with one destination and three dead letters, each in a segment of its own."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    for name, user in (("a", "ann"), ("b", "bob"), ("c", "ann")):
        data_dir.append(data_dir.say("track", name, user), segment_messages=1)
        data_dir.clock.advance(60)
    data_dir.give_up(1)
    data_dir.give_up(2, 3, cursor=3)
    return data_dir


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        pytest.param(Criteria(), [3, 1, 2], id="everything"),
        pytest.param(Criteria(users=("ann",)), [3, 1], id="user"),
        pytest.param(Criteria(ids=("b",)), [2], id="id"),
        pytest.param(Criteria(types=("track",), sources=("website",)), [3, 1, 2], id="source"),
        pytest.param(Criteria(received=Range(NOW_MS + MINUTE_MS)), [3, 2], id="time"),
        pytest.param(Criteria(reasons=("retry_window_over",)), [], id="reason"),
        pytest.param(Criteria(outcomes=(DELIVERED,)), [], id="outcome"),
    ],
)
def test_what_the_log_has_let_go_is_found_as_dead_letters(
    stored: DataDir, criteria: Criteria, found: list[int]
) -> None:
    """By the same criteria, after what the log holds."""
    stored.retire(3)
    assert [seq for _, seq, _, _ in selected(stored, criteria)] == found


def test_facts_that_went_with_the_log_are_taken_from_the_dead_letter(stored: DataDir) -> None:
    """A message whose outcomes are forgotten is known to have failed; one under replay is pending."""
    stored.replay("again", 2)
    stored.retire(3)
    stored.forget_before(2)
    assert sorted(selected(stored, Criteria())) == [
        (1, 1, FAILED, "refused"),
        (1, 2, "pending", REPLAYED),
        (1, 3, FAILED, "refused"),
    ]


def test_a_damaged_block_is_replaced_by_its_dead_letters(stored: DataDir) -> None:
    """What the log cannot read any more is counted, and found where a dead letter keeps it."""
    stored.flip_a_bit(2)
    with selecting(stored, Criteria()) as selection:
        fits = [fit for some in selection.oldest_first() for fit in some]
        assert [(fit.seqs, fit.is_past) for fit in fits] == [
            ([1], False),
            ([3], False),
            ([2], False),
        ]
        assert selection.lost == 1
        assert next(fits[2].entries()).raw == factories.message("b", userId="bob")


def test_an_end_of_the_log_that_nobody_can_believe_costs_no_time(stored: DataDir) -> None:
    """A last segment that cannot be read, and a witness that names an absurd number."""
    (stored.path / "log" / f"{3:016d}.db").write_bytes(b"nothing of the kind" * 1000)
    (stored.path / "log" / "witness").write_bytes((2**60).to_bytes(8, "little") + bytes(4))
    assert [seq for _, seq, _, _ in selected(stored, Criteria())][:2] == [1, 2]


def test_without_facts_everything_is_pending(tmp_path: Path) -> None:
    """Delivery has not run yet."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    data_dir.accept("a", "b")
    assert selected(data_dir, Criteria()) == [(1, 1, "pending", ""), (1, 2, "pending", "")]


@pytest.mark.parametrize(
    ("criteria", "option", "words"),
    [
        pytest.param(
            Criteria(destinations=("heab",)),
            "--destination",
            "there is no destination 'heab'; there are: heap",
            id="destination",
        ),
        pytest.param(
            Criteria(sources=("shop",)), "--source", "there are: engage/heap, website", id="source"
        ),
        pytest.param(Criteria(types=("buy",)), "--type", "identify", id="type"),
        pytest.param(
            Criteria(reasons=("refusd",)), "--reason", "there are: refused, ", id="reason"
        ),
        pytest.param(
            Criteria(reasons=("no_ids",)), "--reason", "the doors refuse messages", id="door"
        ),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(
    stored: DataDir, criteria: Criteria, option: str, words: str
) -> None:
    """The most similar names first, at most ten."""
    with stored.opened() as opened, pytest.raises(Unknown) as raised:
        criteria.check(opened)
    assert raised.value.option == option
    assert words in str(raised.value)
    assert str(raised.value).count(",") <= 10


def test_a_reason_on_record_is_known_also_when_the_doors_give_it_too(stored: DataDir) -> None:
    """Suppressed users are refused at the door, and by delivery when they were accepted before."""
    stored.settle(DISCARDED, 1, reason="suppressed")
    with stored.opened() as opened:
        Criteria(reasons=("suppressed",)).check(opened)


def test_criteria_read_as_a_sentence() -> None:
    """For plans, and for the list of replays."""
    criteria = Criteria(received=Range(NOW_MS), users=("ann", "bob"), reasons=("refused",))
    assert str(criteria) == (
        "received from 2023-11-14T22:13:20.000Z, user ann or bob, reason refused"
    )
    assert str(Criteria()) == "everything"
