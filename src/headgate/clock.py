"""The one clock. Nothing below the composition root asks the system for the time.

Two readings: `now_ms` is the calendar (Unix milliseconds, may jump when somebody sets the clock) and
goes into records; `monotonic_s` never runs backwards and measures waits.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Where every room gets the time from."""

    def now_ms(self) -> int:
        """Unix time in milliseconds, UTC."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary moment; never decreases."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told; the twin that tests and simulations use."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both readings."""
        self._now_ms += round(seconds * 1000)
        self._monotonic_s += seconds

    def jump(self, seconds: float) -> None:
        """Set the calendar forward or back, as an administrator or NTP does; waits are unaffected."""
        self._now_ms += round(seconds * 1000)
