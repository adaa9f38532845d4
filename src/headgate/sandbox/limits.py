"""Heap's documented limits as sliding windows. Times come from the caller; nothing here waits.

Single requests: 30 in 30 s for one identity of one app, each endpoint for itself
(https://developers.heap.io/reference/track-1, https://developers.heap.io/reference/add-user-properties).
Bulk events: 1,000 a minute for one identity and 15,000 a minute for one app
(https://developers.heap.io/reference/bulk-track). Bulk user properties have no documented limit.
Only what was admitted counts; a request that does not fit is refused whole.
"""

from collections import Counter, deque
from collections.abc import Mapping

from headgate.sandbox.options import Limits

Key = tuple[str, ...]


class SlidingWindow:
    """At most `limit` rows of one key in any `seconds`; a limit of 0 lets everything through."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._log: deque[tuple[float, Key, int]] = deque()
        self._used: Counter[Key] = Counter()

    def wait_s(self, rows: Mapping[Key, int], now_s: float) -> float:
        """Seconds until every key has room for its rows, 0 when it has."""
        if not self.limit:
            return 0.0
        self._forget(now_s)
        full = [key for key, count in rows.items() if self._used[key] + count > self.limit]
        return max((self._relief_s(key, rows[key], now_s) for key in full), default=0.0)

    def take(self, rows: Mapping[Key, int], now_s: float) -> None:
        """Count these rows as admitted now."""
        if not self.limit:
            return
        for key, count in rows.items():
            self._log.append((now_s, key, count))
            self._used[key] += count

    def _forget(self, now_s: float) -> None:
        while self._log and self._log[0][0] <= now_s - self.seconds:
            _, key, count = self._log.popleft()
            self._used[key] -= count
            if not self._used[key]:
                del self._used[key]

    def _relief_s(self, key: Key, wanted: int, now_s: float) -> float:
        excess = self._used[key] + wanted - self.limit
        for at_s, logged, count in self._log:
            if logged == key:
                excess -= count
                if excess <= 0:
                    return at_s + self.seconds - now_s
        return self.seconds


class Limiter:
    """All of Heap's windows together."""

    def __init__(self, limits: Limits) -> None:
        self._single = SlidingWindow(limits.requests_per_30s_per_user, 30)
        self._bulk_user = SlidingWindow(limits.events_per_min_per_user, 60)
        self._bulk_app = SlidingWindow(limits.events_per_min, 60)

    def admit_single(self, endpoint: str, app_id: str, user: str, now_s: float) -> float:
        """Admit one single request, or say in how many seconds it would fit; 0 means admitted."""
        rows: dict[Key, int] = {(endpoint, app_id, user): 1}
        if wait_s := self._single.wait_s(rows, now_s):
            return wait_s
        self._single.take(rows, now_s)
        return 0.0

    def admit_bulk(self, app_id: str, users: Counter[str], now_s: float) -> float:
        """Admit a bulk request of events, counted by user, or say when it would fit; 0 means admitted."""
        by_user: dict[Key, int] = {(app_id, user): count for user, count in users.items()}
        by_app: dict[Key, int] = {(app_id,): users.total()}
        wait_s = max(self._bulk_user.wait_s(by_user, now_s), self._bulk_app.wait_s(by_app, now_s))
        if wait_s:
            return wait_s
        self._bulk_user.take(by_user, now_s)
        self._bulk_app.take(by_app, now_s)
        return 0.0
