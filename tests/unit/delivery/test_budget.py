"""Heap's limits: a simulated Heap counts in a sliding minute and never finds too much, nor much too little."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.delivery.budget import WINDOW_S, Reservation, Spending, strictest
from headgate.destinations.interface import Budget


def spending(per_min: int = 0, per_user: int = 0) -> Spending:
    """A budget of which nothing is spent."""
    return Spending(Budget("app", per_min, per_user))


@given(
    seed=st.integers(0, 2**32),
    per_min=st.integers(1, 300),
    slowest_s=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_no_minute_at_heaps_side_holds_more_than_the_limit(
    seed: int, per_min: int, slowest_s: float
) -> None:
    """Heap may count a request at any moment between its start and its answer; four are under way at once."""
    chance = random.Random(seed)
    budget = spending(per_min, per_user=max(1, per_min // 3))
    now_s = 0.0
    counted: list[tuple[float, Counter[str]]] = []
    under_way: list[tuple[float, Reservation]] = []
    for _ in range(300):
        now_s += chance.expovariate(2.0)
        for end_s, reservation in [one for one in under_way if one[0] <= now_s]:
            reservation.ended(end_s)
            under_way.remove((end_s, reservation))
        room = budget.room(now_s)
        users = {user: budget.room_for(user, chance.randint(1, 50)) for user in "abcd"}
        rows: dict[str, int] = {}
        for user, n in users.items():
            if 0 < n <= room:
                rows[user] = n
                room -= n
        if rows and len(under_way) < 4:
            end_s = now_s + chance.uniform(0.01, slowest_s)
            under_way.append((end_s, budget.reserve(rows)))
            counted.append((chance.uniform(now_s, end_s), Counter(rows)))
    counted.sort(key=lambda one: one[0])
    for first, (start_s, _) in enumerate(counted):
        minute = [rows for at_s, rows in counted[first:] if at_s < start_s + 60]
        total = sum(minute, Counter())
        assert total.total() <= per_min
        assert max(total.values()) <= max(1, per_min // 3)


@pytest.mark.parametrize("slowest_s", [0.05, 1.0])
def test_a_backlog_uses_more_than_95_percent(slowest_s: float) -> None:
    """Over ten minutes, with answers that take up to a second."""
    chance = random.Random(3)
    budget = spending(15_000)
    now_s, sent = 0.0, 0
    while now_s < 600:
        rows = min(1_000, budget.room(now_s))
        if not rows:
            now_s += budget.next_room_s(now_s) or 0.0
            continue
        reservation = budget.reserve({f"user-{sent}": rows})
        sent += rows
        now_s += chance.uniform(0.01, slowest_s)
        reservation.ended(now_s)
    assert 0.95 * 15_000 * 10 <= sent <= 15_000 * 11


def test_a_burst_may_use_the_whole_budget_and_comes_back_as_it_went() -> None:
    """Each request's rows are free again 61 s after its answer."""
    budget = spending(100)
    for second, rows in ((0, 60), (10, 40)):
        assert budget.room(second) >= rows
        budget.reserve({"ann": rows}).ended(second)
    assert budget.room(10) == 0
    assert budget.next_room_s(10) == WINDOW_S - 10
    assert budget.room(WINDOW_S - 0.001) == 0
    assert budget.room(WINDOW_S) == 60
    assert budget.room(WINDOW_S + 10) == 100
    assert budget.next_room_s(WINDOW_S + 10) is None


def test_what_is_under_way_counts_and_is_waited_for() -> None:
    """Rows without an answer yet cannot be free sooner than 61 s from now."""
    budget = spending(10)
    budget.reserve({"ann": 10})
    assert budget.room(500) == 0
    assert budget.next_room_s(500) == WINDOW_S


def test_one_user_over_the_limit_leaves_room_for_others() -> None:
    """Limits per user are kept user by user."""
    budget = spending(0, per_user=5)
    budget.reserve({"ann": 5, "bob": 2}).ended(0)
    assert budget.room(1) > 1_000_000
    assert [budget.room_for(user, 9) for user in ("ann", "bob", "eve")] == [0, 3, 5]


def test_without_a_limit_nothing_is_counted() -> None:
    """A gateway in front of a sandbox keeps no books."""
    budget = spending()
    reservation = budget.reserve({"ann": 10**6})
    reservation.ended(0)
    assert not reservation.is_counted
    assert budget.next_room_s(0) is None
    assert budget.room_for("ann", 7) == 7


def test_a_limit_switched_on_while_rows_are_under_way_is_not_muddled() -> None:
    """What was not counted when it was sent is not subtracted when it ends."""
    budget = spending()
    reservation = budget.reserve({"ann": 10})
    budget.budget = Budget("app", 10, 0)
    reservation.ended(0)
    assert budget.room(100) == 10


def test_what_an_earlier_process_sent_counts() -> None:
    """Until 61 s after it had ended."""
    budget = spending(10)
    budget.remember({"ann": 7}, ended_s=-30)
    assert budget.room(0) == 3
    assert budget.room(31) == 10


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [((5, 3), (4, 9), (4, 3)), ((0, 3), (4, 0), (4, 3)), ((0, 0), (0, 0), (0, 0))],
)
def test_of_two_budgets_the_lower_limits_hold(
    one: tuple[int, int], other: tuple[int, int], both: tuple[int, int]
) -> None:
    """0 is no limit."""
    assert strictest(Budget("app", *one), Budget("app", *other)) == Budget("app", *both)


def test_a_part_of_each_minute_can_be_left_free() -> None:
    """Of the budget, and of each user's."""
    budget = spending(6_000, per_user=1_000)
    room = budget.room(0.0, leaving=0.04)
    assert room / WINDOW_S == pytest.approx(0.96 * 6_000 / 60, rel=0.001)
    assert budget.room_for("ann", 2_000, leaving=0.04) == 976
    budget.reserve({"ann": 976, "bob": room - 976})
    assert (budget.room(0.0, leaving=0.04), budget.room_for("ann", 1, leaving=0.04)) == (0, 0)
    assert (budget.room(0.0), budget.room_for("ann", 99)) == (6_000 - room, 24)
    assert spending(6_000).room(0.0, leaving=0.2) / WINDOW_S == pytest.approx(0.8 * 6_000 / 60)
    assert spending(1).room(0.0, leaving=0.04) == 1
    assert spending().room(0.0, leaving=0.04) > 1_000_000


def test_draining_takes_as_long_as_the_tightest_limit() -> None:
    """The app's for all rows, or the user's for those of one; None without limits."""
    assert spending(600, per_user=100).drain_s(6_000, 500) == 600
    assert spending(600, per_user=100).drain_s(6_000, 5_000) == 3_000
    assert spending().drain_s(6_000, 5_000) is None
