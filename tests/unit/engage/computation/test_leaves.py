"""What is kept: enough, whatever happens to arrive, and no more than its bounds."""

import random
from collections.abc import Sequence
from copy import deepcopy
from itertools import product
from operator import eq, ge, gt, le, lt, ne

import pytest
from computing import HOUR, T0, User, event, program, program_of, stored
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage_oracle.breakpoints import breakpoints
from engage_oracle.definitions import definitions
from engage_oracle.histories import Arrival, histories, log_of
from engage_oracle.oracle import Asked
from headgate.engage.computation.leaves import rows, sessions, stamps, totals
from headgate.engage.computation.model import Computation
from headgate.engage.computation.program import Program
from headgate.engage.observed import Observed
from headgate.engage.profile import Profile

COMPARISONS = {"=": eq, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le}

slowly = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@slowly
@given(
    events=st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 2)), max_size=10),
    span=st.integers(1, 5),
)
def test_the_newest_events_are_enough_to_compare_their_number(
    events: list[tuple[int, int]], span: int
) -> None:
    """In every way with every small number; late and future events among them."""
    asked = list(product(COMPARISONS, (-1, 0, 0.5, 1, 1.5, 2, 3)))
    count = f"event('Order').within({span} hours).count()"
    running = program(*(f"{count} {comparison} {constant}" for comparison, constant in asked))
    profile = Profile(1, T0)
    now, seen = T0, []
    for shift, step in events:
        now += step * HOUR
        seen.append(now + shift * HOUR)
        running.take(profile, event(seen[-1], received_at_ms=now, message_id=str(len(seen))))
    for at_ms in range(now, now + 8 * HOUR, HOUR):
        outcomes = running.evaluate(profile, running.unknown, at_ms)
        number = sum(at_ms - span * HOUR < one <= at_ms for one in seen)
        for outcome, (comparison, constant) in zip(outcomes.values(), asked, strict=True):
            assert outcome.value is COMPARISONS[comparison](number, constant)


@pytest.mark.parametrize(
    ("constant", "kept"), [(">= 1", 1), (">= 3", 3), ("> 3", 4), ("<= 3", 4), ("= 0", 1)]
)
def test_a_compared_number_keeps_no_more_events_than_can_matter(constant: str, kept: int) -> None:
    user = User(program(f"event('Order').within(9 days).count() {constant}"))
    user.does(*(event(T0 + n) for n in range(20)))
    assert len(user.profile.leaves[1][0]) == kept


def test_a_total_takes_no_more_room_with_more_events() -> None:
    user = User(program("event('Order').count()", "event('Order').last(property('x'))"))
    user.does(*(event(T0 + n, properties={"x": n}) for n in range(50)))
    assert user.profile.leaves == {
        1: [50, [], 0],
        2: [[T0 + 49, T0 + 49, f"m{T0 + 49}", 49], [], 0],
    }


def test_what_was_in_the_future_is_added_to_the_total_when_its_time_has_come() -> None:
    user = User(program("event('Order').count()")).does(event(T0 + 5, received_at_ms=T0))
    assert user.profile.leaves == {1: [0, [[T0 + 5]], 0]}
    assert user.does(event(T0 + 9)).profile.leaves == {1: [2, [], 0]}


def test_a_session_takes_no_more_room_with_more_events() -> None:
    user = User(program("event('Order').expires_after(1 hour).count()"))
    user.does(*(event(T0 + n) for n in range(50)))
    assert user.profile.leaves == {1: [[[T0, T0 + 49, 50]], [], 0]}


@pytest.mark.parametrize(
    "definition",
    [
        "event('Order').within(9 days).count()",
        "event('Order').within(9 days).sum(property('x'))",
        "event('Order').where(property('x') = trait('none')).count()",
        "event('Order').expires_after(30 minutes).count()",
    ],
)
@pytest.mark.parametrize("received_at_ms", [T0, T0 + 30 * HOUR])
def test_the_oldest_are_left_out_when_there_are_too_many(
    definition: str, received_at_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of future events of a session, the last to come. How many were left out is told."""
    for module in (stamps, rows, sessions, totals):
        monkeypatch.setattr(module, "MOST_KEPT", 4)
    monkeypatch.setattr("headgate.engage.computation.compiler.MOST_KEPT", 4)
    monkeypatch.setattr("headgate.engage.computation.compiler.MOST_TRIED", 4)
    running = program(definition)
    user = User(running)
    hours = list(range(1, 11))
    random.Random(1).shuffle(hours)
    for hour in hours:
        user.does(event(T0 + hour * HOUR, received_at_ms=received_at_ms, properties={"x": 1}))
    assert running.dropped(user.profile) == {1: 6}


def test_future_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST_KEPT", 4)
    running = program("event('Order').count()")
    user = User(running).does(*(event(T0 + n, received_at_ms=T0) for n in range(1, 11)))
    assert running.dropped(user.profile) == {1: 6}
    assert user.value(T0 + 4) == 4


@slowly
@given(histories(14), definitions(3), st.integers(0, 999))
def test_merged_profiles_know_what_one_would_have_known(
    arrivals: Sequence[Arrival], asked: dict[str, Asked], seed: int
) -> None:
    """Messages dealt out to three profiles, which merge in any order, some early, trimmed now and then."""
    log, running = log_of(arrivals), program_asked(asked)
    chance = random.Random(seed)
    whole = Profile(1, T0)
    several = [Profile(number, T0) for number in (2, 3, 4)]
    for message in log:
        running.take(whole, message)
        running.take(chance.choice(several), message)
        if len(several) > 1 and chance.random() < 0.1:
            _merge_two(running, several, chance)
        if chance.random() < 0.2:
            running.trim(chance.choice(several), message.received_at_ms)
    while len(several) > 1:
        _merge_two(running, several, chance)
    (merged,) = several
    for at_ms in _instants(log, asked):
        expected = _values(running, whole, at_ms)
        assert _values(running, merged, at_ms) == expected
        running.trim(merged, at_ms)
        merged = stored(merged)
        assert _values(running, merged, at_ms) == expected


@slowly
@given(histories(14), definitions(3))
def test_values_change_without_a_message_only_where_it_was_said(
    arrivals: Sequence[Arrival], asked: dict[str, Asked]
) -> None:
    """Never later than `until_ms`; and a message changes only what it touches."""
    log, running = log_of(arrivals), program_asked(asked)
    profile = Profile(1, T0)
    waiting = list(log)
    before = running.evaluate(profile, range(1, len(asked) + 1), 0)
    for at_ms in sorted({one + d for one in breakpoints(log, asked) for d in (-1, 0, 1)}):
        touched: set[int] = set()
        while waiting and waiting[0].received_at_ms <= at_ms:
            touched |= running.take(profile, waiting.pop(0))
        outcomes = running.evaluate(profile, before, at_ms)
        for number, outcome in outcomes.items():
            assert outcome.until_ms is None or outcome.until_ms > at_ms
            until_ms = before[number].until_ms
            if number not in touched and (until_ms is None or at_ms < until_ms):
                assert typed(outcome.value) == typed(before[number].value)
        before = outcomes


@slowly
@given(histories(14), definitions(3), st.integers(0, 999))
def test_the_order_of_arrival_changes_nothing(
    arrivals: Sequence[Arrival], asked: dict[str, Asked], seed: int
) -> None:
    """Of the same messages, arrival times and all."""
    log, running = log_of(arrivals), program_asked(asked)
    in_order, shuffled = Profile(1, T0), Profile(2, T0)
    for message in log:
        running.take(in_order, message)
    for message in random.Random(seed).sample(log, len(log)):
        running.take(shuffled, deepcopy(message))
    for at_ms in _instants(log, asked):
        assert _values(running, in_order, at_ms) == _values(running, shuffled, at_ms)


def program_asked(asked: dict[str, Asked]) -> Program:
    """The program of generated definitions, numbered from 1."""
    return program_of(
        [
            Computation(n, key, one.kind, one.tree, one.created_at_ms, one.history, one.wait)
            for n, (key, one) in enumerate(asked.items(), 1)
        ]
    )


def typed(value: object) -> object:
    """A value such that 1 and true differ."""
    return (type(value) is bool, value)


def _merge_two(running: Program, several: list[Profile], chance: random.Random) -> None:
    chance.shuffle(several)
    running.merge(several[0], stored(several.pop()))


def _instants(log: list[Observed], asked: dict[str, Asked]) -> list[int]:
    """From the last arrival on: nobody evaluates before."""
    last = max((message.received_at_ms for message in log), default=T0)
    return [last, *(one for one in breakpoints(log, asked) if one > last)][:40]


def _values(running: Program, profile: Profile, at_ms: int) -> dict[int, object]:
    outcomes = running.evaluate(profile, running.unknown, at_ms)
    return {number: typed(outcome.value) for number, outcome in outcomes.items()}
