"""Engage's engine, with its real store, against the oracle: everybody's values and everything told, at every edge.

The engine runs whenever a message arrives and at every instant at which the oracle's answer may change, one
millisecond before and one after; the clock is ours.
"""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from depth import search
from engage_oracle.breakpoints import around, breakpoints
from engage_oracle.comparing import same
from engage_oracle.definitions import definitions
from engage_oracle.histories import START_MS, Arrival, histories, log_of
from engage_oracle.oracle import Asked, evaluate
from engage_oracle.telling import expected_sent, sequences
from headgate.clock import ManualClock
from headgate.engage.batch import profiles_of
from headgate.engage.computation.model import Computation
from headgate.engage.computation.program import Program
from headgate.engage.engine import Engine
from headgate.engage.history.chunks import Chunk
from headgate.engage.identifies import Told
from headgate.engage.observed import Observed
from headgate.engage.plan import Plan
from headgate.engage.rules import Rules
from headgate.engage.store import EngageStore
from headgate.eventlog.interface import Arrival as Posted
from headgate.eventlog.memory import memory_log
from headgate.spec.message import Envelope
from headgate.spec.names import CALL_TYPE_CODES
from headgate.spec.timestamps import parse_ms

HEAP = "heap"


class Running:
    """An engine in a directory of its own; `told` is what it has said so far, by userId and key."""

    def __init__(
        self, directory: Path, asked: Mapping[str, Asked], numbered: Collection[str] = ()
    ) -> None:
        self.clock = ManualClock(START_MS - 1)
        self.told: dict[tuple[str, str], list[Any]] = {}
        self._numbers = {key: number for number, key in enumerate(numbered or asked, 1)}
        self._log = memory_log(self.clock)
        self._path = directory / "engage.db"
        self._leaves: dict[str, int] = {}
        self._plan = _plan(asked, self._numbers, self._leaves)
        self._open()

    def _open(self) -> None:
        self._store = EngageStore(self._path)
        self._engine = Engine(event_log=self._log, store=self._store, clock=self.clock)
        self._engine.use(self._plan)

    def restart(self) -> None:
        """Forgets everything that is not on disk."""
        self._store.close()
        self._open()

    def exchange(self, asked: Mapping[str, Asked], log: Sequence[Observed]) -> None:
        """Goes on with other computations; the new ones are given the past, as history has it."""
        known = set(self._leaves)
        self._plan = _plan(asked, self._numbers, self._leaves)
        self._engine.use(self._plan)
        new = frozenset(self._leaves[text] for text in self._leaves.keys() - known)
        past: dict[int, list[Observed]] = {}
        for batch in self._store.assigned(0, 1_000):
            for seq, owner in enumerate(profiles_of(batch), batch.first_seq):
                past.setdefault(owner, []).append(log[seq - 1])
        past.pop(0, None)
        for offset, (owner, messages) in enumerate(sorted(past.items())):
            self._engine.backfill(1, Chunk([(owner, messages)], offset), new)
        self._store.swept_to(0)

    def post(self, arrival: Arrival) -> None:
        """A message arrives in the log, with what the door adds left to the door."""
        message = {name: value for name, value in arrival.message.items() if name != "receivedAt"}
        envelope = Envelope(arrival.source, _ms(arrival.message["receivedAt"]), 1)
        message_id = message["messageId"]
        posted = Posted(
            envelope,
            raws=[msgspec.json.encode(message)],
            ids=[message_id],
            users=[message.get("userId", "")],
            types=bytearray([CALL_TYPE_CODES[message["type"]]]),
        )
        self._log.append([posted])

    def run_at(self, at_ms: int) -> None:
        """Lets the clock reach an instant, and the engine do what there is to do."""
        self.clock.advance((at_ms - self.clock.now_ms()) / 1000)
        while self._engine.read() or self._engine.let_time_pass() or self._engine.sweep():
            pass
        for row in self._store.outbox(1_000):
            ((key, value),) = [
                trait
                for trait in msgspec.json.decode(row.raw)["traits"].items()
                if trait[0] != "email"
            ]
            self.told.setdefault((row.user_id, key), []).append(value)
            self._store.taken([row.number])

    def values(self, identifiers: Sequence[Any]) -> dict[str, Any]:
        """What the computations came to for whoever has these identifiers."""
        profile = self._store.find(identifiers[0])
        assert profile is not None
        assert set(profile.identifiers) == set(identifiers)
        return {
            key: profile.value(number, is_audience=number in self._plan.audiences)
            for key, number in self._numbers.items()
        }

    def sizes(self) -> dict[str, int]:
        """The counted members of every computation."""
        sizes = self._store.sizes()
        return {key: sizes.get(number, 0) for key, number in self._numbers.items()}

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()


def _ms(text: str) -> int:
    moment = parse_ms(text)
    assert moment is not None
    return moment


def _plan(asked: Mapping[str, Asked], numbers: Mapping[str, int], leaves: dict[str, int]) -> Plan:
    computations = [
        Computation(
            number=numbers[key],
            key=key,
            kind=one.kind,
            tree=one.tree,
            created_at_ms=one.created_at_ms,
            history=one.history,
            wait=one.wait,
        )
        for key, one in asked.items()
    ]
    audiences = {numbers[key] for key, one in asked.items() if one.kind == "audience"}
    return Plan(
        program=Program(computations, lambda text: leaves.setdefault(text, len(leaves) + 1)),
        live=frozenset(numbers[key] for key in asked),
        preparing=False,
        audiences=frozenset(audiences),
        told=tuple(
            Told(numbers[key], key, numbers[key] in audiences, key, HEAP, "Heap") for key in asked
        ),
        rules=Rules(),
        sync_interval_ms=0,
    )


def _first_copies(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """The arrivals as the door lets them in: a source's messageId once."""
    first: dict[tuple[str, str], Arrival] = {}
    for one in arrivals:
        first.setdefault((one.source, one.message["messageId"]), one)
    return list(first.values())


def _instants(arrivals: Sequence[Arrival], asked: Mapping[str, Asked]) -> list[int]:
    """When the engine runs: ascending, none before the first message can arrive."""
    edges = around(breakpoints(log_of(arrivals), asked))
    return sorted({START_MS, *(at_ms for at_ms in edges if at_ms >= START_MS)})


def _check(
    running: Running, arrivals: Sequence[Arrival], asked: Mapping[str, Asked], *, restarts: bool
) -> None:
    log = log_of(arrivals)
    waiting = list(arrivals)
    instants = _instants(arrivals, asked)
    for at_ms in instants:
        while waiting and _ms(waiting[0].message["receivedAt"]) <= at_ms:
            running.post(waiting.pop(0))
        if restarts:
            running.restart()
        running.run_at(at_ms)
        expected = evaluate(log, asked, at_ms)
        for identifiers, values in expected:
            found = running.values(identifiers)
            wrong = {
                key: (found[key], values[key]) for key in asked if not same(found[key], values[key])
            }
            assert not wrong, (at_ms, identifiers)
        members = {key: sum(one[key] is True for _, one in expected) for key in asked}
        sizes = running.sizes()
        assert {key: sizes[key] for key in asked if asked[key].kind == "audience"} == {
            key: members[key] for key in asked if asked[key].kind == "audience"
        }, at_ms
    sent, _ = expected_sent(log, asked, instants)
    assert running.told == sequences(sent)


@search(60)
@given(histories(), definitions())
def test_everybody_is_in_what_the_oracle_says_at_every_edge(
    arrivals: list[Arrival], asked: dict[str, Asked]
) -> None:
    """Values, sizes and what is told agree, message by message and instant by instant."""
    with tempfile.TemporaryDirectory() as directory:
        running = Running(Path(directory), asked)
        _check(running, _first_copies(arrivals), asked, restarts=False)
        running.close()


@search(15)
@given(histories(), definitions())
def test_it_makes_no_difference_how_often_the_process_starts_again(
    arrivals: list[Arrival], asked: dict[str, Asked]
) -> None:
    """What is not on disk is not needed."""
    with tempfile.TemporaryDirectory() as directory:
        running = Running(Path(directory), asked)
        _check(running, _first_copies(arrivals), asked, restarts=True)
        running.close()


@search(30)
@given(histories(), definitions(), st.integers(0, 20))
def test_a_computation_that_comes_later_makes_no_difference_but_in_when_it_is_told(
    arrivals: list[Arrival], asked: dict[str, Asked], after: int
) -> None:
    """The past is read from history, by the owners that its messages had when they arrived."""
    arrivals = _first_copies(arrivals)
    log = log_of(arrivals)
    first, others = arrivals[:after], arrivals[after:]
    earlier = dict(list(asked.items())[:1])
    with tempfile.TemporaryDirectory() as directory:
        running = Running(Path(directory), earlier, numbered=list(asked))
        for one in first:
            running.post(one)
            running.run_at(max(running.clock.now_ms(), _ms(one.message["receivedAt"])))
        running.exchange(asked, log)
        for one in others:
            running.post(one)
        ends_at = max([START_MS, *(one.received_at_ms for one in log)])
        for at_ms in [ends_at, *(at for at in _instants(arrivals, asked) if at > ends_at)]:
            running.run_at(at_ms)
            for identifiers, values in evaluate(log, asked, at_ms):
                found = running.values(identifiers)
                assert all(same(found[key], values[key]) for key in asked), (at_ms, identifiers)
        running.close()
