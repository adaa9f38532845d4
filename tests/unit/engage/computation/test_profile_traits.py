"""Traits that identifies set: who wrote last, what null does, dates against now, paths."""

import pytest
from computing import DAY, T0, User, event, identify, program

from headgate.engage.computation.model import Outcome

PRO = "trait('plan') = 'pro'"


def test_the_newest_write_holds_and_a_late_one_lands_under_it() -> None:
    user = User(program(PRO)).does(identify(T0, {"plan": "pro"}))
    assert user.does(identify(T0 - 1, {"plan": "free"})).value(T0) is True
    assert user.does(identify(T0 + 1, {"plan": "free"})).value(T0 + 1) is False


def test_of_writes_at_one_instant_the_later_arrival_holds_and_then_the_greater_id() -> None:
    user = User(program(PRO))
    user.does(identify(T0, {"plan": "free"}, received_at_ms=T0 + 2, message_id="b"))
    user.does(identify(T0, {"plan": "pro"}, received_at_ms=T0 + 1, message_id="c"))
    assert user.value(T0 + 2) is False
    user.does(identify(T0, {"plan": "pro"}, received_at_ms=T0 + 2, message_id="c"))
    assert user.value(T0 + 2) is True


def test_a_write_of_the_future_waits_for_its_time() -> None:
    user = User(program(PRO)).does(identify(T0, {"plan": "pro"}))
    user.does(identify(T0 + DAY, {"plan": "free"}, received_at_ms=T0))
    assert user.outcome(T0) == Outcome(True, T0 + DAY)
    assert user.outcome(T0 + DAY) == Outcome(False, None)


def test_writes_of_the_future_and_the_past_keep_their_order() -> None:
    user = User(program("trait('plan') = 'a'"))
    user.does(identify(T0 + 2, {"plan": "b"}, received_at_ms=T0))
    user.does(identify(T0, {"plan": "x"}), identify(T0 + 1, {"plan": "a"}, received_at_ms=T0))
    assert user.changes() == [(T0, False), (T0 + 1, True), (T0 + 2, False)]


def test_null_removes_and_an_older_value_does_not_come_back() -> None:
    user = User(program("trait('plan').exists()")).does(identify(T0, {"plan": None}))
    assert user.does(identify(T0 - 1, {"plan": "pro"})).value(T0) is False


def test_traits_are_replaced_whole_and_read_by_path() -> None:
    user = User(program("trait('home.city') = 'Rome'"))
    assert user.does(identify(T0, {"home": {"city": "Rome"}})).value(T0) is True
    assert user.does(identify(T0 + 1, {"home": {"zip": "1"}})).value(T0 + 1) is False


@pytest.mark.parametrize(
    ("test", "changes"),
    [
        ("within_last(2 days)", [(0, False), (10 * DAY, True), (12 * DAY + 1, False)]),
        ("within_next(2 days)", [(0, False), (8 * DAY, True), (10 * DAY + 1, False)]),
        ("before_last(2 days)", [(0, False), (12 * DAY, True)]),
        ("after_next(2 days)", [(0, True), (8 * DAY + 1, False)]),
        ("before_date('2026-01-11')", [(0, False)]),
        ("before_date('2026-01-11T00:00:00.001Z')", [(0, True)]),
        ("after_date('2026-01-10T23:59:59.999Z')", [(0, True)]),
    ],
)
def test_dates_are_held_against_now_with_both_ends_included(
    test: str, changes: list[tuple[int, bool]]
) -> None:
    """A trait of ten days after T0."""
    user = User(program(f"trait('seen').{test}"))
    user.does(identify(T0, {"seen": "2026-01-11T00:00:00Z"}))
    assert user.changes() == [(T0 + after_ms, value) for after_ms, value in changes]


@pytest.mark.parametrize("value", [None, 5, "tomorrow", "", [], {}, True])
@pytest.mark.parametrize("test", ["within_last", "within_next", "before_last", "after_next"])
def test_what_is_no_date_passes_no_date_test(test: str, value: object) -> None:
    user = User(program(f"trait('seen').{test}(2 days)")).does(identify(T0, {"seen": value}))
    assert user.outcome(T0) == Outcome(False, None)


def test_only_computations_that_read_a_changed_trait_are_touched() -> None:
    running = program(PRO, "trait('c1') = true", "trait('other') = 1", "event('E').count()")
    profile = User(running).profile
    assert running.take(profile, identify(T0, {"plan": "pro"})) == {1, 2}
    assert running.take(profile, identify(T0 + 1, {"plan": "pro", "name": "Ann"})) == frozenset()
    assert (
        running.take(profile, identify(T0, {"plan": "free"}, received_at_ms=T0 + 1)) == frozenset()
    )
    assert running.take(profile, identify(T0 + 2, {"plan": "free"})) == {1, 2}


def test_true_after_one_is_a_change() -> None:
    """Python takes them for equal."""
    running = program("trait('x') = true")
    user = User(running).does(identify(T0, {"x": 1}))
    assert running.take(user.profile, identify(T0 + 1, {"x": True})) == {1}
    assert user.value(T0 + 1) is True


def test_numbers_that_no_record_holds_become_floats_or_null() -> None:
    user = User(program("trait('x') > 1", "trait('y').exists()"))
    user.does(identify(T0, {"x": 10**30, "y": 10**400, "z": {"deep": [2**70]}}))
    assert (user.value(T0, 1), user.value(T0, 2)) == (True, False)


def test_a_computation_goes_before_a_trait_of_its_name() -> None:
    user = User(program("event('E').count() >= 1", "trait('c1') = true"))
    user.does(identify(T0, {"c1": True}))
    assert user.value(T0, 2) is False
    assert user.does(event(T0, "E")).value(T0, 2) is True
