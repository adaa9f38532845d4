"""The program: what touches whom, what depends on what, new profiles, explanations."""

from copy import deepcopy
from typing import Any

import pytest
from computing import (
    DAY,
    T0,
    User,
    computation,
    event,
    identify,
    program,
    program_of,
)

from headgate.engage.computation.model import Outcome
from headgate.engage.profile import Profile
from headgate.language.checks import Cycle


def test_a_message_touches_what_reads_its_event_and_what_reads_that() -> None:
    running = program(
        "event('A').count() >= 1",
        "event('B').count() >= 1",
        "trait('c1') = true",
        "NOT trait('c3') = true",
        "event('B').where(event('A').count() = 0).count() >= 1",
    )
    assert running.take(User(running).profile, event(T0, "A")) == {1, 3, 4, 5}
    assert running.take(User(running).profile, event(T0, "Nothing")) == frozenset()


def test_a_message_that_its_condition_refuses_touches_nobody() -> None:
    running = program("event('A').where(property('x') > 5).count() >= 1")
    user = User(running)
    assert running.take(user.profile, event(T0, "A", properties={"x": 5})) == frozenset()
    assert user.profile.leaves == {}


@pytest.mark.parametrize(
    ("where", "accepted"),
    [
        ("property('x') = 5", True),
        ("property('x') = '5'", True),
        ("property('x') != 5", False),
        ("property('y') != 5", False),
        ("NOT property('y') = 5", True),
        ("property('x') > 4 AND property('z') = true", True),
        ("property('x') > 4 AND property('z') = false", False),
        ("property('x') > 5 OR property('z') = true", True),
        ("property('x') = property('same')", True),
        ("property('x') < property('z')", False),
        ("property('t').contains('b', 'q')", True),
        ("property('t').starts_with('b')", False),
        ("property('y').omits('b')", True),
        ("property('t').one_of('abc', 'd')", True),
        ("property('t').none_of('abc', 'd')", False),
        ("property('y').absent()", True),
        ("property('z').exists()", True),
        ("property('d').before_date('2026-01-02')", True),
        ("property('d').after_date('2026-01-01')", False),
        ("context('page.path') = '/'", True),
        ("property('deep.er') = 1", True),
    ],
)
def test_where_a_message_is_accepted(where: str, accepted: bool) -> None:
    """Also where the condition has to be tried later, as with a trait in it."""
    properties = {"x": 5, "same": "5", "z": True, "t": "abc", "d": "2026-01-01", "deep": {"er": 1}}
    message = event(T0, properties=properties, context={"page": {"path": "/"}})
    running = program(
        f"event('Order').where({where}).count()",
        f"event('Order').where(({where}) AND (trait('on') = 1 OR ({where}))).count()",
        f"event('Order').where(({where}) AND trait('on') = 1).count()",
    )
    user = User(running).does(identify(T0, {"on": 1}), message)
    assert [user.value(T0, number) for number in (1, 2, 3)] == [accepted] * 3


def test_computations_read_each_other_at_the_same_instant() -> None:
    """Whatever `values` still say."""
    running = program(
        "trait('c2') = true AND trait('c3') > 1",
        "event('A').within(1 day).count() >= 1",
        "event('A').count()",
    )
    user = User(running).does(event(T0, "A", message_id="x"), event(T0, "A", message_id="y"))
    user.profile.values = {2: False, 3: 0}
    assert user.outcome(T0) == Outcome(True, T0 + DAY)
    assert user.outcome(T0 + DAY) == Outcome(False, None)


def test_an_audience_is_false_and_a_count_0_for_a_profile_that_nothing_is_known_of() -> None:
    running = program(
        "event('A').count() >= 1",
        "trait('c1') = false",
        "event('A').count()",
        "trait('c3') = 0",
        "event('A').last(property('x'))",
        "event('A').unique(property('x'))",
    )
    expected: dict[int, Any] = {1: False, 2: True, 3: 0, 4: True, 5: None, 6: []}
    assert running.unknown == expected
    outcomes = running.evaluate(Profile(1, T0), range(1, 7), T0)
    assert outcomes == {number: Outcome(value, None) for number, value in expected.items()}


def test_circles_are_refused() -> None:
    with pytest.raises(Cycle):
        program("trait('c2') = true", "trait('c1') = true")


def test_evaluation_leaves_the_profile_as_it_is() -> None:
    """Also when it looks at events that were in the future."""
    running = program(
        "event('A').count()",
        "event('A').expires_after(1 day).count()",
        "event('A').unique(property('x'))",
        "event('A').within(1 day).sum(property('x'))",
        "event('A').within(1 day).last(property('x'))",
        "trait('plan') = 'pro'",
    )
    user = User(running).does(
        event(T0, "A", properties={"x": 1}),
        event(T0 + 5, "A", received_at_ms=T0, properties={"x": 2}),
        identify(T0 + 5, {"plan": "pro"}, received_at_ms=T0),
    )
    before = deepcopy(user.profile)
    for at_ms in (T0, T0 + 5, T0 + 10 * DAY, T0):
        running.evaluate(user.profile, range(1, 7), at_ms)
    assert user.profile == before


def test_computations_share_what_they_keep() -> None:
    """Windows do not matter to a count that is compared with a constant; when they arrived does."""
    running = program_of(
        [
            computation(1, "a", "event('A').within(1 day).count() >= 2"),
            computation(2, "b", "event('A').within(9 days).count() >= 2 AND trait('x') = 1"),
            computation(3, "c", "event('A').within(9 days).count() >= 2", history=False),
            computation(4, "d", "event('A').within(9 days).count() >= 3"),
            computation(5, "e", "trait('c') = true"),
        ]
    )
    assert running.leaves_of == {1: {1}, 2: {1}, 3: {2}, 4: {3}, 5: {2}}
    assert running.leaves[1].text == "event('A').count() of the newest 2"
    assert running.events_of([1, 2]) == {"A"}


def test_history_is_read_for_new_leaves_only() -> None:
    running = program("event('A').count()", "event('A').within(9 days).count()")
    user = User(running).does(event(T0, "A"))
    past = event(T0 - 5, "A")
    new = running.leaves_of[2]
    assert running.take_only(user.profile, past, new) == {2}
    assert (user.value(T0, 1), user.value(T0, 2)) == (1, 2)


def test_what_no_window_can_see_goes_away_with_what_no_computation_has() -> None:
    running = program(
        "event('A').between(1 day, 2 days).count() >= 1",
        "event('A').within(2 days).sum(property('x'))",
        "event('A').where(event('B').count() = 0).within(2 days).count() >= 1",
    )
    user = User(running).does(event(T0, "A", properties={"x": 1}), event(T0 + 1, "B"))
    user.profile.leaves[99] = [1, 0]
    running.trim(user.profile, T0 + 2 * DAY - 1)
    assert set(user.profile.leaves) == {1, 2, 3, 4}
    running.trim(user.profile, T0 + 2 * DAY + 1)
    assert user.profile.leaves == {}


def test_an_explanation_says_of_each_part_what_it_comes_to_and_until_when() -> None:
    running = program(
        "event('A').within(1 day).count() >= 1 AND NOT (trait('plan') = 'pro' OR trait('c2') = true)",
        "event('B').count() >= 1",
    )
    user = User(running).does(event(T0, "A"), identify(T0, {"plan": "free"}))
    whole = running.explain(user.profile, 1, T0)
    performed, rest = whole.parts
    (either,) = rest.parts
    assert (whole.value, whole.until_ms) == (True, T0 + DAY)
    assert performed.text == "event('A').within(1 day).count() >= 1"
    assert (performed.value, performed.compared, performed.until_ms) == (True, 1, T0 + DAY)
    assert (either.value, [part.compared for part in either.parts]) == (False, ["free", False])
