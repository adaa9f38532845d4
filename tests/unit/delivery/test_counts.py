"""Counts by receipt: whatever happens, and whenever they are taken, they say what the audit says."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_dirs import NOW_MS, DataDir, destination, source
from headgate.delivery import counting, store
from headgate.delivery.counting import Counting
from headgate.delivery.counts import MINUTE_MS
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED, Outcome
from headgate.delivery.recorder import Recorder
from headgate.delivery.store import DeliveryStore
from headgate.eventlog.sealing import seal
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.audit import Counts, audit
from headgate.records.flow import ALWAYS, Flow, Period, flows
from headgate.records.outcomes import PENDING
from headgate.records.stretches import Range
from simulation import InlineExecutor, World

SLUGS = {"heap": 1, "second": 2}
SOURCES = ("website", "phone", "lonely")
OWED = {1: "website", 2: "phone"}


class Ledger:
    """A data directory with two destinations and a source without any, and what has become of its messages."""

    def __init__(self, path: Path) -> None:
        self.data_dir = DataDir(path)
        self.data_dir.use(
            sources=[source(slug) for slug in SOURCES],
            destinations=[destination(), destination("second", "phone")],
        )
        self.owed: dict[int, list[int]] = {1: [], 2: []}
        self.settled: dict[int, set[int]] = {1: set(), 2: set()}
        self.last_seq = 0
        self.first_seq = 1

    def receive(self, source_slug: str, n: int, seconds: int) -> None:
        """Messages of a source, some time after what came before; segments hold twelve."""
        self.data_dir.clock.advance(seconds)
        seqs = range(self.last_seq + 1, self.last_seq + n + 1)
        self.data_dir.accept(
            *(f"m{seq}" for seq in seqs),
            source=source_slug,
            workspace_version=1,
            segment_messages=12,
        )
        self.last_seq += n
        for to, owner in OWED.items():
            if owner == source_slug:
                self.owed[to] += seqs

    def settle(self, to: int, outcome: Outcome, picks: list[bool]) -> None:
        """Some of those that have no outcome get one."""
        open_ = [seq for seq in self.owed[to] if seq not in self.settled[to]]
        chosen = [seq for seq, pick in zip(open_, picks, strict=False) if pick]
        if chosen:
            reason = {DELIVERED: "", DISCARDED: "no_user_id", FAILED: "refused"}[outcome]
            self.data_dir.settle(outcome, *chosen, to=to, reason=reason)
            self.settled[to].update(chosen)

    def replay(self, to: int, picks: list[bool]) -> None:
        """Some of those that have an outcome are to be sent again."""
        held = sorted(seq for seq in self.settled[to] if seq >= self.first_seq)
        chosen = [seq for seq, pick in zip(held, picks, strict=False) if pick]
        if chosen:
            self.data_dir.settle("replayed", *chosen, to=to)
            self.settled[to].difference_update(chosen)

    def count(self) -> None:
        """A server runs for a while and counts a chunk, or all."""
        with closing(DeliveryStore(self.data_dir.path / "delivery" / "delivery.db")) as facts:
            asyncio.run(self._counted(facts))

    def retire(self) -> None:
        """The oldest segment goes, if everything up to its end is settled."""
        with closing(sqlite_reader(self.data_dir.path / "log")) as log:
            starts = log.segments()
        oldest_open = min(
            (seq for to in (1, 2) for seq in self.owed[to] if seq not in self.settled[to]),
            default=self.last_seq + 1,
        )
        if len(starts) < 2 or oldest_open < starts[1]:
            return
        self.first_seq = starts[1]
        self.data_dir.retire(self.first_seq)
        with closing(DeliveryStore(self.data_dir.path / "delivery" / "delivery.db")) as facts:
            for to in (1, 2):
                facts.forget_before(to, self.first_seq)
            facts.forget_counts_before(self.first_seq)

    def agrees_over_all_time(self) -> None:
        """Where the minute of receipt is not known of everything."""
        self._agrees(ALWAYS, Range())

    def agrees(self) -> None:
        """Over all time, and minute by minute."""
        self.agrees_over_all_time()
        minute_ms = NOW_MS - NOW_MS % MINUTE_MS
        while minute_ms <= self.data_dir.clock.now_ms():
            end_ms = minute_ms + MINUTE_MS
            self._agrees(Period(minute_ms, end_ms, MINUTE_MS), Range(minute_ms, end_ms))
            minute_ms = end_ms

    def _agrees(self, period: Period, received: Range) -> None:
        with self.data_dir.opened() as stored:
            said = audit(stored, received)
            facts = stored.facts()
            found = flows(stored, facts, period)
            if facts:
                facts.close()
        assert found.is_all
        assert said.broken_count == 0
        for slug, id_ in SLUGS.items():
            told = found.of([id_])
            assert figures_of(told) == audited(said.destinations[slug]), (slug, period)
            assert told.received == said.destinations[slug].accepted
            steps = [sum(step.values()) for step in told.steps.values()]
            assert sum(steps) == told.received

    async def _counted(self, facts: DeliveryStore) -> None:
        recorder = Recorder(
            facts, self.data_dir.clock, lambda: 0, lambda seq: None, InlineExecutor()
        )
        with closing(sqlite_reader(self.data_dir.path / "log")) as log:
            await Counting(log, recorder, self.data_dir.clock)._count()


def figures_of(told: Flow) -> dict[str, int]:
    """What is above nothing, by outcome and by reason."""
    reasons = {reason: n for (_, reason), n in told.reasons.items()}
    return {name: n for name, n in (*told.outcomes.items(), *reasons.items()) if n}


def audited(said: Counts) -> dict[str, int]:
    """The same of an audit."""
    outcomes = {name: getattr(said, name) for name in (DELIVERED, DISCARDED, FAILED, PENDING)}
    return {name: n for name, n in (*outcomes.items(), *said.reasons.items()) if n}


PICKS = st.lists(st.booleans(), min_size=1, max_size=30)
TO = st.sampled_from([1, 2])
STEPS = st.one_of(
    st.tuples(
        st.just("receive"),
        st.sampled_from(SOURCES),
        st.integers(1, 8),
        st.sampled_from([0, 20, 90]),
    ),
    st.tuples(st.just("settle"), TO, st.sampled_from([DELIVERED, DISCARDED, FAILED]), PICKS),
    st.tuples(st.just("replay"), TO, PICKS),
    st.tuples(st.just("count")),
    st.tuples(st.just("retire")),
)


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    """So that counting stops in the middle of messages and of facts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_MESSAGES_AT_ONCE", 10)
        patch.setattr(store, "COUNTED_AT_ONCE", 3)
        yield


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, max_size=20))
def test_counts_agree_with_the_audit_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    """Receipt, outcomes, replays, counting in between and retention, in any order."""
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    ledger.receive("website", 3, 0)
    for name, *given_ in steps:
        act: Callable[..., None] = getattr(ledger, name)
        act(*given_)
    ledger.agrees()


def test_what_nobody_can_read_counts_where_delivery_has_settled_it(tmp_path: Path) -> None:
    """Before it was counted, at the start of the log and in the middle."""
    ledger = Ledger(tmp_path)
    for n in (2, 3, 2):
        ledger.receive("website", n, 20)
    ledger.data_dir.lose_block(3)
    ledger.data_dir.flip_a_bit(1)
    ledger.data_dir.settle(FAILED, 1, 2, 3, 4, 5, reason="unreadable_message", cursor=5)
    ledger.agrees_over_all_time()
    ledger.count()
    ledger.agrees_over_all_time()


def test_facts_are_counted_after_retention_has_taken_the_newest_of_them(tmp_path: Path) -> None:
    """Numbers of facts are never given twice, or what comes next would look counted."""
    ledger = Ledger(tmp_path)
    ledger.receive("website", 12, 0)
    ledger.receive("website", 4, 0)
    ledger.settle(1, DELIVERED, [True] * 12)
    ledger.count()
    ledger.count()
    ledger.retire()
    ledger.settle(1, DELIVERED, [True] * 4)
    assert ledger.first_seq == 13
    ledger.agrees()


def tracked(number: int) -> dict[str, Any]:
    """A track call, as the model of Heap takes it."""
    message = {"type": "track", "event": "E", "messageId": f"m{number}"}
    return message | {"userId": f"u{number}", "properties": {"n": number}}


def test_retention_takes_its_counts_along_also_within_a_minute(tmp_path: Path) -> None:
    """What is left of the minute stays, and nothing else."""
    ledger = Ledger(tmp_path)
    ledger.receive("website", 12, 0)
    ledger.receive("website", 4, 0)
    ledger.settle(1, DELIVERED, [True] * 14)
    for _ in range(3):
        ledger.count()
    ledger.retire()
    ledger.agrees()
    with closing(sqlite3.connect(tmp_path / "delivery" / "delivery.db")) as db:
        assert db.execute("SELECT run, n FROM received_count").fetchall() == [(13, 4)]
        assert db.execute("SELECT run, n FROM outcome_count").fetchall() == [(13, 2)]


def test_an_outcome_is_not_counted_before_its_message(tmp_path: Path) -> None:
    """Where the log is counted a chunk at a time; it would count in another minute."""
    ledger = Ledger(tmp_path)
    ledger.receive("website", 12, 0)
    ledger.receive("website", 4, 90)
    ledger.settle(1, DELIVERED, [True] * 16)
    ledger.count()
    ledger.agrees()


def test_a_block_that_was_made_anew_goes_on_where_counting_was(tmp_path: Path) -> None:
    """Sealing makes one block of several, and counting may stand in the middle of it."""
    ledger = Ledger(tmp_path)
    ledger.receive("website", 11, 0)
    ledger.receive("website", 1, 90)
    ledger.receive("website", 4, 0)
    ledger.count()
    seal(tmp_path / "log", 1)
    ledger.settle(1, DELIVERED, [True] * 13)
    ledger.agrees()
    ledger.count()
    ledger.agrees()


async def test_a_running_server_counts_some_seconds_after_something_has_happened() -> None:
    """And nothing when nothing does."""
    world = World()
    world.start()
    world.append([tracked(1)])
    await world.run(60.0)
    place = world.store.counted()
    assert (place.seq, place.settled_id) == (1, place.newest_id)
    assert world.clock.next_timer_s() is None
    (became,) = world.store.became(0, 2**62, 2**62)
    assert (became.destination, became.outcome, became.n) == (1, DELIVERED, 1)
    await world.stop()


async def test_counting_goes_on_after_a_kill_where_it_was(tmp_path: Path) -> None:
    """Nothing counts twice, nothing is left out."""
    world = World()
    for number in range(30):
        world.start()
        world.append([tracked(number)])
        await world.run(number % 4)
        await world.kill()
    world.start()
    await world.run(120.0)
    assert sum(one.n for one in world.store.became(0, 2**62, 2**62)) == 30
    assert sum(one.n for one in world.store.received(0, 2**62, 2**62)) == 30
    await world.stop()
