"""How soon a worker that died is started again."""

from itertools import repeat

import pytest

from headgate.keeper import Pace


def test_a_worker_that_dies_at_once_is_started_less_and_less_often() -> None:
    """Starts are a second apart, then two, and at the most half a minute."""
    pace = Pace()
    assert [pace.pause_s(0.0) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_worker_that_had_lived_is_started_at_once() -> None:
    """And what comes after it begins anew; how long one lived counts for the pause."""
    pace = Pace()
    for lived_s in repeat(0.0, 5):
        pace.pause_s(lived_s)
    assert [pace.pause_s(lived_s) for lived_s in (5.0, 0.25, 0.25)] == [0.0, 0.75, 1.75]


def test_without_a_least_distance_there_is_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longer ones are so many times the least one."""
    monkeypatch.setattr("headgate.keeper._STARTS_AT_MOST_EVERY_S", 0.0)
    pace = Pace()
    assert [pace.pause_s(0.1) for _ in range(8)] == [0.0] * 8
