"""The one clock. Nothing below the composition root asks the system for the time.

Two readings: `now_ms` is the calendar (Unix milliseconds, may jump when somebody sets the clock) and
goes into records; `monotonic_s` never runs backwards and measures waits.
"""

import asyncio
import time
from collections import Counter
from typing import Protocol


class Clock(Protocol):
    """Where every room gets the time from."""

    def now_ms(self) -> int:
        """Unix time in milliseconds, UTC."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary moment; never decreases."""

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> None:
        """Returns when the event is set, or when `timeout_s` seconds have passed (None: never)."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return


class ManualClock:
    """A clock that moves only when told; the twin that tests and simulations use."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._started_at_ms = now_ms
        self._jumped_ms = 0
        self._monotonic_s = 0.0
        self._moved = asyncio.Event()
        self._timers: Counter[float] = Counter()

    def now_ms(self) -> int:
        return self._started_at_ms + self._jumped_ms + round(self._monotonic_s * 1000)

    def monotonic_s(self) -> float:
        return self._monotonic_s

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> None:
        await asyncio.sleep(0)
        if timeout_s is None:
            await event.wait()
            return
        until_s = self._monotonic_s + timeout_s
        self._timers[until_s] += 1
        try:
            while not event.is_set() and self._monotonic_s < until_s:
                await _first_of(event, self._moved)
        finally:
            self._timers[until_s] -= 1

    def next_timer_s(self) -> float | None:
        """The next moment, on the monotonic reading, for which somebody waits; None when nobody does."""
        self._timers = +self._timers
        return min(self._timers, default=None)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both readings."""
        self.advance_to(self._monotonic_s + seconds)

    def advance_to(self, monotonic_s: float) -> None:
        """Let time pass up to this moment on the monotonic reading."""
        self._monotonic_s = max(self._monotonic_s, monotonic_s)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def jump(self, seconds: float) -> None:
        """Set the calendar forward or back, as an administrator or NTP does; waits are unaffected."""
        self._jumped_ms += round(seconds * 1000)


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
