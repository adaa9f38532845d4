"""Events that follow others: and then did, and then did not, of the same thing, within some time."""

import pytest
from computing import DAY, HOUR, T0, User, event, program

from headgate.engage.observed import Observed

ORDERED = "event('Add').where(event('Order'){}.count() >= 1).count() >= 1"
ABANDONED = "event('Add').where(event('Order').within(parent: 1 day).count() = 0).count() >= 1"


def add(at_ms: int, **properties: object) -> Observed:
    """Something put into a cart; known of from T0 on."""
    return event(at_ms, "Add", received_at_ms=T0, properties=properties)


def order(at_ms: int, **properties: object) -> Observed:
    """An order; known of from T0 on."""
    return event(at_ms, "Order", received_at_ms=T0, properties=properties)


@pytest.mark.parametrize(
    ("window", "after_ms", "follows"),
    [
        ("", -1, False),
        ("", 0, False),  # at the same instant is not after
        ("", 1, True),
        ("", 400 * DAY, True),
        (".within(parent: 1 day)", 0, False),
        (".within(parent: 1 day)", 1, True),
        (".within(parent: 1 day)", DAY, True),
        (".within(parent: 1 day)", DAY + 1, False),
        (".between(parent: 1 day, 2 days)", DAY - 1, False),
        (".between(parent: 1 day, 2 days)", DAY, True),
        (".between(parent: 1 day, 2 days)", 2 * DAY - 1, True),
        (".between(parent: 1 day, 2 days)", 2 * DAY, False),
    ],
)
def test_an_event_follows_another_when_it_is_later_and_within_the_window(
    window: str, after_ms: int, follows: bool
) -> None:
    user = User(program(ORDERED.format(window))).does(add(T0 - DAY), order(T0 - DAY + after_ms))
    assert user.value(T0 + 500 * DAY) is follows


def test_a_follower_counts_from_its_own_time_on() -> None:
    user = User(program(ORDERED.format(""))).does(add(T0), order(T0 + HOUR))
    assert user.changes() == [(T0, False), (T0 + HOUR, True)]


def test_every_first_event_has_its_own_followers() -> None:
    """Added, ordered, added again: the second one was abandoned."""
    user = User(program(ABANDONED))
    user.does(add(T0 - 5 * DAY), order(T0 - 5 * DAY + HOUR))
    assert user.value(T0) is False
    assert user.does(add(T0 - 3 * DAY)).value(T0) is True


@pytest.mark.parametrize(
    "did_not",
    [
        "event('Order').within(parent: 1 day).count() = 0",
        "event('Order').within(parent: 1 day).count() < 1",
        "NOT event('Order').within(parent: 1 day).count() >= 1",
        "NOT (event('Order').within(parent: 1 day).count() >= 1 OR property('x') = 1)",
        "event('Order').within(parent: 1 day).last(property('x')).absent()",
    ],
)
def test_a_did_not_is_true_at_once_or_waits_until_its_window_has_passed(did_not: str) -> None:
    definition = f"event('Add').where({did_not}).count() >= 1"
    hasty, patient = User(program(definition)), User(program(definition, wait=True))
    assert hasty.does(add(T0)).changes() == [(T0, True)]
    assert patient.does(add(T0)).changes() == [(T0, False), (T0 + DAY, True)]
    assert patient.does(order(T0 + HOUR, x=2)).changes() == [(T0, False)]


def test_only_a_did_not_waits() -> None:
    """Nor does one without a window, which never passes."""
    did = "event('Add').where(event('Order').within(parent: 1 day).count() >= 1).count() >= 1"
    user = User(program(did, wait=True)).does(add(T0), order(T0 + HOUR))
    assert user.changes() == [(T0, False), (T0 + HOUR, True)]
    endless = "event('Add').where(event('Order').count() = 0).count() >= 1"
    assert User(program(endless, wait=True)).does(add(T0)).value(T0) is True


def test_followers_are_compared_with_what_they_follow() -> None:
    same = "event('Order').where(property('sku') = property(parent: 'sku')).count() >= 1"
    user = User(program(f"event('Add').where({same}).count() >= 1"))
    user.does(add(T0 - 3, sku="a"), order(T0 - 2, sku="b"))
    assert user.value(T0) is False
    assert user.does(order(T0 - 1, sku="a")).value(T0) is True


def test_what_a_follower_is_compared_with_may_be_a_trait() -> None:
    dear = "event('Order').where(property('total') >= trait('average')).count()"
    user = User(program(dear)).does(order(T0, total=5), order(T0, total=15))
    assert user.value(T0) == 0
    assert user.does(event(T0, "", traits={"average": 10})).value(T0) == 1
    assert user.does(event(T0 + 1, "", traits={"average": 1})).value(T0 + 1) == 2


def test_followers_have_followers() -> None:
    """Each compared with its own parent: viewed, then added the same, then ordered the same."""
    ordered = "event('Order').where(property('sku') = property(parent: 'sku')).count() = 1"
    added = (
        f"event('Add').where(property('sku') = property(parent: 'sku') AND {ordered}).count() = 1"
    )
    user = User(program(f"event('View').where({added}).count()"))
    view = event(T0 - 9, "View", received_at_ms=T0, properties={"sku": "a"})
    user.does(view, add(T0 - 8, sku="a"), order(T0 - 7, sku="b"))
    assert user.value(T0) == 0
    assert user.does(order(T0 - 6, sku="a")).value(T0) == 1


def test_a_first_event_leaves_its_window_with_its_followers() -> None:
    definition = "event('Add').where(event('Order').count() >= 1).within(2 days).count() >= 1"
    user = User(program(definition)).does(add(T0), order(T0 + DAY))
    assert user.changes() == [(T0, False), (T0 + DAY, True), (T0 + 2 * DAY, False)]


def test_a_date_of_an_event_is_held_against_now() -> None:
    definition = "event('Order').where(property('due').within_next(1 day)).count()"
    user = User(program(definition)).does(order(T0, due="2026-01-03T00:00:00Z"))
    assert user.changes() == [(T0, 0), (T0 + DAY, 1), (T0 + 2 * DAY + 1, 0)]


def test_followers_are_reduced_in_any_way() -> None:
    spent = "event('Order').within(parent: 1 day).sum(property('total')) > 10"
    user = User(program(f"event('Add').where({spent}).count()"))
    assert user.does(add(T0 - 5), order(T0 - 4, total=6)).value(T0) == 0
    assert user.does(order(T0 - 3, total=6)).value(T0) == 1
