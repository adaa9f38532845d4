"""How fast passwords may be tried: after five wrong ones for a name, each has to wait twice as long.

Nobody is locked out for good: a wait is a minute at most. Kept in memory, for the names tried last.
"""

from collections import OrderedDict
from threading import Lock

from headgate.clock import Clock

_FREE = 5
_LONGEST_S = 60.0
_FORGOTTEN_S = 900.0
_NAMES = 1_000


class Pace:
    """The pace of sign-ins, by name. Used from threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how often, last at

    def wait_s(self, name: str) -> float:
        """How long the next try has to wait; 0.0 when it need not."""
        with self._lock:
            times, last_s = self._failed.get(name, (0, 0.0))
        if times < _FREE:
            return 0.0
        pause_s = min(2.0 ** min(times - _FREE, 10), _LONGEST_S)
        return max(0.0, last_s + pause_s - self._clock.monotonic_s())

    def failed(self, name: str) -> None:
        """The password was wrong."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            times, last_s = self._failed.pop(name, (0, now_s))
            self._failed[name] = (1 if now_s - last_s > _FORGOTTEN_S else times + 1, now_s)
            if len(self._failed) > _NAMES:
                self._failed.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """The password was right."""
        with self._lock:
            self._failed.pop(name, None)
