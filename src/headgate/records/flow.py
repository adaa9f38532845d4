"""What was received in a period, and what has become of it, by destination: figures that add up.

    counts by receipt, on disk ┐
    what is not counted yet    ┴→ by step of time → owed (`owing.py`) → Flow

received = delivered + discarded + failed + pending, exactly, for whole minutes of receipt, and over all
time the same as the audit says. The figures are made from what delivery has counted (`delivery/counts.py`),
so they take as long as the period has minutes, however many messages it has. `find` looks the messages up.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

import msgspec

from headgate.delivery.counts import MINUTE_MS, Counts, count_rest
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED
from headgate.delivery.owing import Owing
from headgate.delivery.reader import Became, DeliveryReader, Received, Run
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.outcomes import PENDING
from headgate.records.stored import Stored
from headgate.spec.timestamps import MAX_MS

OUTCOMES = (DELIVERED, DISCARDED, FAILED, PENDING)


class Period(NamedTuple):
    """Whole minutes of receipt, half-open, in steps; a step begins at a multiple of its length."""

    from_ms: int
    to_ms: int
    step_ms: int


ALWAYS = Period(0, MAX_MS - MAX_MS % MINUTE_MS, MAX_MS)


class Flow(msgspec.Struct):
    """One destination's messages of a period by outcome.

    `reasons` splits up the discarded and the failed, `sources` what was received, and `steps` the outcomes
    by the time at which a step begins.
    """

    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    sources: Counter[str] = msgspec.field(default_factory=Counter)
    steps: defaultdict[int, Counter[str]] = msgspec.field(
        default_factory=lambda: defaultdict(Counter)
    )

    @property
    def received(self) -> int:
        """How many messages the destination was to get."""
        return self.outcomes.total()

    def add(self, at_ms: int, outcome: str, reason: str, n: int) -> None:
        """Some messages more, or less."""
        self.outcomes[outcome] += n
        self.steps[at_ms][outcome] += n
        if outcome in (DISCARDED, FAILED):
            self.reasons[outcome, reason] += n


class Flows(msgspec.Struct):
    """A period. `destinations` are by id, `sources` what each source sent, by step.

    `is_all` is unset while counting is far behind, as it is after an upgrade: then something is missing.
    """

    destinations: defaultdict[int, Flow]
    sources: dict[str, Counter[int]]
    is_all: bool

    def of(self, ids: Iterable[int]) -> Flow:
        """Several destinations as one: those that had the same slug, one after the other."""
        total = Flow()
        for flow in (self.destinations[id_] for id_ in ids if id_ in self.destinations):
            total.outcomes.update(flow.outcomes)
            total.reasons.update(flow.reasons)
            total.sources.update(flow.sources)
            for at_ms, outcomes in flow.steps.items():
                total.steps[at_ms].update(outcomes)
        return total


def flows(stored: Stored, facts: DeliveryReader | None, wanted: Period = ALWAYS) -> Flows:
    """The figures of a period as of now. `facts`, which are frozen, are None while there are none."""
    with closing(sqlite_reader(stored.log)) as log:
        rest = count_rest(facts, log)
    received, became = _rest(rest, facts, wanted)
    if facts:
        received += facts.received(*wanted)
        became += facts.became(*wanted)
    found = Flows(defaultdict(Flow), {}, rest.is_all)
    owing = Owing(stored.versions)
    for one in received:
        found.sources.setdefault(one.source, Counter())[one.at_ms] += one.n
        for destination in owing.destinations(one.version, one.source):
            flow = found.destinations[destination]
            flow.sources[one.source] += one.n
            flow.add(one.at_ms, PENDING, "", one.n)
    for each in became:
        flow = found.destinations[each.destination]
        flow.add(each.at_ms, each.outcome, each.reason, each.n)
        if not each.is_lost:  # of what is lost, nothing is known to have been received
            flow.add(each.at_ms, PENDING, "", -each.n)
    return found


def _rest(
    rest: Counts, facts: DeliveryReader | None, wanted: Period
) -> tuple[list[Received], list[Became]]:
    """What is not counted yet, as if it were."""
    keys = {key[0] for key in rest.received} | {key[0] for key in rest.outcomes}
    known = facts.runs_from(min(keys)) if facts and keys else []
    runs = {run.first_seq: run for run in (*known, *rest.runs)}
    received = [
        Received(at_ms, version, source, n)
        for (run, version, source), n in rest.received.items()
        for at_ms in _step(runs[run], wanted)
    ]
    became = [
        Became(at_ms, runs[run].is_lost, destination, outcome, reason, n)
        for (run, destination, outcome, reason), n in rest.outcomes.items()
        for at_ms in _step(runs[run], wanted)
    ]
    return received, became


def _step(run: Run, wanted: Period) -> Iterator[int]:
    """When the run's step begins; nothing when it is not in the period."""
    if wanted.from_ms <= run.minute_ms < wanted.to_ms:
        yield run.minute_ms - run.minute_ms % wanted.step_ms
