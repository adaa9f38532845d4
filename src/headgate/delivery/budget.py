"""Heap's limits kept: rows in any 60 s, for an App ID and for each of its users. Pure bookkeeping.

A row counts from the moment it is sent until 61 s after its answer came: wherever in between Heap
counted it, no window of 60 s at Heap's side can hold more than the limit. Every request counts, also
one that was refused or whose answer never came.
"""

from collections import Counter, deque
from collections.abc import Mapping

from headgate.destinations.interface import Budget

WINDOW_S = 61.0
_PLENTY = 1_000_000_000
_PER_WINDOW = WINDOW_S / 60.0


class Spending:
    """What is spent of one budget, shared by all destinations with the same scope."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._used = 0
        self._used_by: Counter[str] = Counter()
        self._ended: deque[tuple[float, Mapping[str, int]]] = deque()

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit. Without one, nothing is counted."""
        return bool(self.budget.rows_per_min or self.budget.rows_per_min_per_user)

    def room(self, now_s: float, *, leaving: float = 0.0) -> int:
        """Rows that may be sent now; a very large number when there is no limit.

        `leaving`: the part of each minute's rows that is left free for others, from 0 to 1.
        """
        self._expire(now_s)
        return _room(self.budget.rows_per_min, self._used, _PLENTY, leaving)

    def room_for(self, identity: str, wanted: int, *, leaving: float = 0.0) -> int:
        """How many of `wanted` rows of one user might be sent when `room` was last asked for."""
        limit = self.budget.rows_per_min_per_user
        return _room(limit, self._used_by[identity], wanted, leaving)

    def reserve(self, rows: Mapping[str, int]) -> "Reservation":
        """Takes rows, counted by user, out of the budget: they are being sent."""
        if self.is_limited:
            self._count(rows)
        return Reservation(self, rows, is_counted=self.is_limited)

    def remember(self, rows: Mapping[str, int], ended_s: float) -> None:
        """Rows that an earlier process sent."""
        self._count(rows)
        self.ended(rows, ended_s)

    def next_room_s(self, now_s: float) -> float | None:
        """Seconds until some rows stop counting; None when none count."""
        if self._ended:
            return max(0.0, self._ended[0][0] - now_s)
        return WINDOW_S if self._used else None

    def drain_s(self, rows: int, rows_of_one: int) -> float | None:
        """How long so many rows take, some of which are one user's; None when there is no limit."""
        limits = (
            (rows, self.budget.rows_per_min),
            (rows_of_one, self.budget.rows_per_min_per_user),
        )
        return max((n * 60.0 / limit for n, limit in limits if limit), default=None)

    def ended(self, rows: Mapping[str, int], now_s: float) -> None:
        """The request with these rows was answered or given up: they count for 61 s more."""
        self._ended.append((now_s + WINDOW_S, rows))

    def _count(self, rows: Mapping[str, int]) -> None:
        self._used += sum(rows.values())
        self._used_by.update(rows)

    def _expire(self, now_s: float) -> None:
        while self._ended and self._ended[0][0] <= now_s:
            _, rows = self._ended.popleft()
            for identity, n in rows.items():
                self._used -= n
                self._used_by[identity] -= n
                if not self._used_by[identity]:
                    del self._used_by[identity]


class Reservation:
    """The rows of one request that is under way, and the budget they were taken from, if it has a limit."""

    def __init__(
        self, spending: Spending, rows: Mapping[str, int], *, is_counted: bool = True
    ) -> None:
        self.spending = spending
        self.rows = rows
        self.is_counted = is_counted

    def ended(self, now_s: float) -> None:
        """The request is over, whatever became of it."""
        if self.is_counted:
            self.spending.ended(self.rows, now_s)


def strictest(one: Budget, other: Budget) -> Budget:
    """The budget that keeps both; 0 is no limit."""
    return Budget(
        one.scope,
        _lower(one.rows_per_min, other.rows_per_min),
        _lower(one.rows_per_min_per_user, other.rows_per_min_per_user),
    )


def _room(limit: int, used: int, wanted: int, leaving: float) -> int:
    if not limit:
        return wanted
    usable = max(1, int(limit * (1.0 - leaving) * _PER_WINDOW)) if leaving else limit
    return min(wanted, max(0, usable - used))


def _lower(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other
