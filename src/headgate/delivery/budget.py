"""Heap's limits kept: rows in any 60 s, for an App ID and for each of its users. Pure bookkeeping.

A row counts from the moment it is sent until 61 s after its answer came: wherever in between Heap
counted it, no window of 60 s at Heap's side can hold more than the limit.
"""

from collections import Counter, deque

from headgate.destinations.interface import Budget

WINDOW_S = 61.0


class Spending:
    """What is spent of one budget, shared by all destinations with the same scope."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._used = 0
        self._used_by: Counter[str] = Counter()
        self._ended: deque[tuple[float, Counter[str]]] = deque()

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self.budget.rows_per_min or self.budget.rows_per_min_per_user)

    def room(self, now_s: float) -> int:
        """Rows that may be sent now; a very large number when there is no limit."""
        self._expire(now_s)
        limit = self.budget.rows_per_min
        return max(0, limit - self._used) if limit else 1_000_000_000

    def room_for(self, identity: str, wanted: int) -> int:
        """How many of `wanted` rows of one user may be sent now. Call `room` first."""
        limit = self.budget.rows_per_min_per_user
        return min(wanted, max(0, limit - self._used_by[identity])) if limit else wanted

    def spend(self, rows: Counter[str]) -> None:
        """Rows by user are being sent."""
        self._used += rows.total()
        self._used_by.update(rows)

    def give_back(self, rows: Counter[str]) -> None:
        """Rows that were set aside are not sent after all."""
        self._used -= rows.total()
        self._used_by -= rows

    def ended(self, rows: Counter[str], now_s: float) -> None:
        """The request with these rows was answered or given up: they count for 61 s more."""
        self._ended.append((now_s + WINDOW_S, rows))

    def next_room_s(self, now_s: float) -> float | None:
        """Seconds until some rows stop counting; None when none that ended still count."""
        return max(0.0, self._ended[0][0] - now_s) if self._ended else None

    def _expire(self, now_s: float) -> None:
        while self._ended and self._ended[0][0] <= now_s:
            _, rows = self._ended.popleft()
            self._used -= rows.total()
            self._used_by -= rows
