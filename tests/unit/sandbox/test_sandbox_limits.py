"""The sliding windows of Heap's documented limits, under a clock that moves when told."""

from collections import Counter

from headgate.clock import ManualClock
from headgate.sandbox.limits import Key, Limiter, SlidingWindow
from headgate.sandbox.options import NO_LIMITS, Limits


def test_a_window_frees_each_row_when_its_time_has_passed() -> None:
    window = SlidingWindow(limit=2, seconds=60)
    key: dict[Key, int] = {("a",): 1}
    for now_s in (0.0, 10.0):
        assert window.wait_s(key, now_s) == 0
        window.take(key, now_s)
    assert window.wait_s(key, 20.0) == 40.0
    assert window.wait_s(key, 60.0) == 0
    window.take(key, 60.0)
    assert window.wait_s(key, 61.0) == 9.0


def test_single_requests_have_thirty_in_thirty_seconds_per_endpoint_and_user() -> None:
    clock, limiter = ManualClock(), Limiter(Limits())
    for _ in range(30):
        assert limiter.admit_single("/api/track", "1", "ann", clock.monotonic_s()) == 0
    assert limiter.admit_single("/api/track", "1", "ann", clock.monotonic_s()) == 30
    assert limiter.admit_single("/api/track", "1", "bob", clock.monotonic_s()) == 0
    assert limiter.admit_single("/api/track", "2", "ann", clock.monotonic_s()) == 0
    assert limiter.admit_single("/api/other", "1", "ann", clock.monotonic_s()) == 0
    clock.advance(30)
    assert limiter.admit_single("/api/track", "1", "ann", clock.monotonic_s()) == 0


def test_bulk_events_have_a_thousand_a_minute_per_user() -> None:
    limiter = Limiter(Limits())
    assert limiter.admit_bulk("1", Counter(ann=999), 0) == 0
    assert limiter.admit_bulk("1", Counter(ann=2), 1) == 59
    assert limiter.admit_bulk("1", Counter(ann=1), 2) == 0


def test_bulk_events_have_fifteen_thousand_a_minute_per_app() -> None:
    limiter = Limiter(Limits())
    users = Counter({f"user-{n}": 1 for n in range(1000)})
    for second in range(15):
        assert limiter.admit_bulk("1", users, second) == 0
    assert limiter.admit_bulk("1", Counter(new=1), 15) == 45
    assert limiter.admit_bulk("2", Counter(new=1), 15) == 0
    assert limiter.admit_bulk("1", users, 60) == 0


def test_what_was_refused_does_not_count() -> None:
    limiter = Limiter(Limits(events_per_min_per_user=10))
    assert limiter.admit_bulk("1", Counter(ann=11, bob=1), 0) == 60
    assert limiter.admit_bulk("1", Counter(ann=10, bob=10), 0) == 0


def test_zero_lifts_a_limit() -> None:
    limiter = Limiter(NO_LIMITS)
    assert limiter.admit_bulk("1", Counter(ann=10**6), 0) == 0
    assert all(limiter.admit_single("/api/track", "1", "ann", 0) == 0 for _ in range(100))
