"""When an event counts: half-open windows by the event's own time, what history a computation sees."""

from typing import Any

import pytest
from computing import DAY, HOUR, MINUTE, T0, User, event, identify, program

from headgate.engage.computation.model import Outcome


@pytest.mark.parametrize(
    ("window", "begins", "ends"),
    [
        ("", 0, None),
        (".within(2 days)", 0, 2 * DAY),
        (".within(36 hours)", 0, 36 * HOUR),
        (".between(1 day, 3 days)", DAY, 3 * DAY),
    ],
)
@pytest.mark.parametrize(
    "definition",
    [
        "event('Order'){}.count() >= 1",
        "event('Order'){}.count() > trait('none') OR event('Order'){}.count() = 1",
        "event('Order'){}.sum(property('x')) > 4",
        "event('Order'){}.last(property('x')) = 5",
        "event('Order').where(property('x') = trait('five')){}.count() = 1",
    ],
)
def test_an_event_counts_from_the_windows_near_edge_until_exactly_its_far_edge(
    definition: str, window: str, begins: int, ends: int | None
) -> None:
    user = User(program(definition.replace("{}", window)))
    order = event(T0 + DAY, received_at_ms=T0, properties={"x": 5})
    user.does(event(T0, "", traits={"five": 5}), order)
    expected = [(T0, False), (T0 + DAY + begins, True)]
    if ends is not None:
        expected.append((T0 + DAY + ends, False))
    assert user.changes() == expected
    for at_ms, value in expected[1:]:
        assert (user.value(at_ms - 1), user.value(at_ms)) == (not value, value)


@pytest.mark.parametrize(
    "definition", ["event('Order').count()", "event('Order').within(2 days).count()"]
)
def test_a_future_event_waits_for_its_own_time(definition: str) -> None:
    user = User(program(definition)).does(event(T0 + HOUR, received_at_ms=T0))
    assert user.outcome(T0).value == 0
    assert user.outcome(T0).until_ms == T0 + HOUR
    assert user.value(T0 + HOUR) == 1


def test_the_worked_vector_of_thirty_days() -> None:
    """Orders at T0 and T0+29 d; then late ones, of T0+58 d and T0+10 d, that arrive at T0+60 d."""
    user = User(program("event('Order').within(30 days).count() >= 1")).does(event(T0))
    assert user.outcome(T0).until_ms == T0 + 30 * DAY
    user.does(event(T0 + 29 * DAY))
    assert user.outcome(T0 + 30 * DAY) == Outcome(True, T0 + 59 * DAY)
    assert user.outcome(T0 + 59 * DAY) == Outcome(False, None)
    arrival = T0 + 60 * DAY
    user.does(event(T0 + 10 * DAY, received_at_ms=arrival))
    assert user.outcome(arrival).value is False
    user.does(event(T0 + 58 * DAY, received_at_ms=arrival))
    assert user.outcome(arrival) == Outcome(True, T0 + 88 * DAY)
    assert user.value(T0 + 88 * DAY) is False


def test_a_count_expires_with_the_nth_newest_event_whatever_order_they_arrive_in() -> None:
    user = User(program("event('Order').within(10 days).count() >= 2"))
    user.does(*(event(T0 + day * DAY, received_at_ms=T0 + 9 * DAY) for day in (7, 1, 9, 4)))
    assert user.outcome(T0 + 9 * DAY).until_ms == T0 + 17 * DAY


def test_a_count_that_cannot_change_with_the_next_event_to_leave_is_settled_for_longer() -> None:
    """Compared with a text, so that all events are kept: three leave before two are left."""
    user = User(program("event('Order').within(10 days).count() = '2'"))
    user.does(*(event(T0 + day * DAY, received_at_ms=T0 + 5 * DAY) for day in range(5)))
    assert user.outcome(T0 + 5 * DAY) == Outcome(False, T0 + 12 * DAY)


@pytest.mark.parametrize(
    ("definition", "changes"),
    [
        ("event('Order').within(2 days).count() = 1", [(0, False), (1, True), (2, False), (3, True), (4, False)]),
        ("event('Order').within(2 days).count() <= 1", [(0, True), (2, False), (3, True)]),
        ("event('Order').within(2 days).count() != 2", [(0, True), (2, False), (3, True)]),
        ("NOT event('Order').within(2 days).count() >= 1", [(0, True), (1, False), (4, True)]),
        ("event('Order').between(1 day, 2 days).count() = 0", [(0, True), (2, False), (4, True)]),
        ("event('Order').within(2 days).count() >= 1.5", [(0, False), (2, True), (3, False)]),
        ("event('Order').within(2 days).count() = '2'", [(0, False), (2, True), (3, False)]),
        ("event('Order').within(2 days).count() > -1", [(0, True)]),
    ],
)  # fmt: skip
def test_time_alone_lets_profiles_in_and_out(
    definition: str, changes: list[tuple[int, bool]]
) -> None:
    """Orders on the first and the second day, both known of before."""
    user = User(program(definition))
    user.does(*(event(T0 + day * DAY, received_at_ms=T0) for day in (1, 2)))
    assert user.changes() == [(T0 + day * DAY, value) for day, value in changes]


def test_without_history_only_events_that_arrive_from_the_creation_on_count() -> None:
    """By arrival, not by their own time."""
    user = User(program("event('Order').count()", history=False))
    user.does(event(T0 - 1, received_at_ms=T0 - 1), event(T0 - 1, received_at_ms=T0))
    assert user.value(T0) == 1


@pytest.mark.parametrize(
    ("window", "ends"),
    [("", 3), (".within(2 days)", 2), (".within(5 days)", 3), (".between(1 day, 5 days)", 3)],
)
def test_a_look_back_is_one_more_sliding_window(window: str, ends: int) -> None:
    user = User(program(f"event('Order'){window}.count() >= 1", history=3 * DAY))
    user.does(event(T0))
    assert user.changes()[-1] == (T0 + ends * DAY, False)


def test_a_window_that_begins_after_the_look_back_ends_is_empty() -> None:
    user = User(program("event('Order').between(4 days, 5 days).count() >= 1", history=3 * DAY))
    assert user.does(event(T0)).changes() == [(T0, False)]


@pytest.mark.parametrize("history", [True, 30 * DAY])
def test_a_session_lasts_while_gaps_stay_within_its_limit(history: Any) -> None:
    """Events at 0, 30, 60 and 91 minutes: the last gap is one minute too long."""
    running = program("event('Order').expires_after(30 minutes).count()", history=history)
    user = User(running).does(*(event(T0 + minute * MINUTE) for minute in (0, 30, 60)))
    assert user.value(T0 + 60 * MINUTE) == 3
    assert user.value(T0 + 90 * MINUTE - 1) == 3
    assert user.value(T0 + 90 * MINUTE) == 0
    assert user.does(event(T0 + 91 * MINUTE)).value(T0 + 91 * MINUTE) == 1


@pytest.mark.parametrize("minutes", [(30, 0), (60, 0, 30), (0, 60, 30)])
def test_a_session_is_the_same_in_any_order_of_arrival(minutes: tuple[int, ...]) -> None:
    now = T0 + 60 * MINUTE
    user = User(program("event('Order').expires_after(30 minutes).count()"))
    user.does(
        *(event(now + (minute - max(minutes)) * MINUTE, received_at_ms=now) for minute in minutes)
    )
    assert user.value(now) == len(minutes)


@pytest.mark.parametrize("history", [True, 30 * DAY])
def test_a_late_event_joins_two_sessions(history: Any) -> None:
    running = program("event('Order').expires_after(30 minutes).count()", history=history)
    now = T0 + 50 * MINUTE
    user = User(running).does(event(T0), event(now))
    assert user.value(now) == 1
    assert user.does(event(T0 + 25 * MINUTE, received_at_ms=now)).value(now) == 3


def test_a_session_forgets_what_is_older_than_the_look_back() -> None:
    running = program("event('Order').expires_after(30 minutes).count()", history=HOUR)
    user = User(running).does(*(event(T0 + minute * MINUTE) for minute in (0, 20, 40)))
    assert user.outcome(T0 + 40 * MINUTE) == Outcome(3, T0 + 60 * MINUTE)
    assert user.outcome(T0 + 60 * MINUTE) == Outcome(2, T0 + 70 * MINUTE)


def test_the_condition_comes_before_the_chain() -> None:
    """What `where` refuses holds no session together."""
    running = program("event('Order').where(property('x') = 1).expires_after(30 minutes).count()")
    user = User(running).does(
        event(T0, properties={"x": 1}),
        event(T0 + 20 * MINUTE, properties={"x": 2}),
        event(T0 + 40 * MINUTE, properties={"x": 1}),
    )
    assert user.value(T0 + 40 * MINUTE) == 1


@pytest.mark.parametrize(
    "where", ["", ".where(property('y') = 1)", ".where(property('y') = trait('p'))"]
)
def test_an_event_without_the_value_goes_on_with_its_session(where: str) -> None:
    """Whether its condition can be settled when it arrives, or changes with the person's traits."""
    running = program(f"event('Order'){where}.expires_after(30 minutes).min(property('x'))")
    user = User(running).does(
        identify(T0, {"p": 1}),
        event(T0, properties={"x": 2.5, "y": 1}),
        event(T0 + 20 * MINUTE, properties={"y": 1}),
    )
    assert user.value(T0 + 50 * MINUTE - 1) == 2.5
    assert user.value(T0 + 50 * MINUTE) is None


def test_sources_can_be_left_out() -> None:
    user = User(program("event('Order').sources(exclude: ['app']).count()"))
    assert user.does(event(T0, source="app"), event(T0)).value(T0) == 1
