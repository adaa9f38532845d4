"""The one clock. Nothing below the composition root asks the system for the time.

Two readings: `now_ms` is the calendar (Unix milliseconds, may jump when somebody sets the clock) and
goes into records; `monotonic_s` never runs backwards and measures waits.
"""

import asyncio
import time
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
        self._now_ms = now_ms
        self._monotonic_s = 0.0
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return self._monotonic_s

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> None:
        until_s = None if timeout_s is None else self._monotonic_s + timeout_s
        while not event.is_set() and (until_s is None or self._monotonic_s < until_s):
            await _first_of(event, self._moved)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both readings."""
        self._now_ms += round(seconds * 1000)
        self._monotonic_s += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def jump(self, seconds: float) -> None:
        """Set the calendar forward or back, as an administrator or NTP does; waits are unaffected."""
        self._now_ms += round(seconds * 1000)


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
