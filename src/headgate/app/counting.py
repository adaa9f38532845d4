"""Figures for which everybody is looked at: counted at once where that is quick, else asked for and kept a while.

A page that is made again every second must not look at a million people each time. For a store that large the
figures are counted by a process of its own when a page asks for them, are shown with their age, and are counted
again when they are old for what they cost.
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from headgate.clock import Clock
from headgate.engage.registry import Record
from headgate.records.engage.members import LOOKED_AT
from headgate.records.engage.stored import Engaged
from headgate.records.engage.tallied import tallied
from headgate.records.engage.tallying import Tally, tally

_FEW = 4  # computations of which as many people are counted at once as of one
_KEPT_AT_LEAST_S = 60.0
_KEPT_TIMES = 20  # as long as counting took


class Counted(NamedTuple):
    """Figures, and when they were counted; `is_old`: they are to be counted again."""

    tally: Tally
    at_ms: int
    is_old: bool = False


class _Kept(NamedTuple):
    tally: Tally
    at_ms: int
    until_s: float


class Counting:
    """What was counted of large stores, by data directory and number of the computation."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, int], _Kept] = {}
        self._one_at_a_time = Lock()

    def of(self, data_dir: Path, record: Record, clock: Clock, *, again: bool) -> Counted | None:
        """What is known, counted anew if that is asked for and due; None when nothing is known.

        While something is being counted, who asks for more gets what is known.
        """
        key = data_dir, record.number
        if again and self._one_at_a_time.acquire(blocking=False):
            try:
                kept = self._kept.get(key)
                if kept is None or kept.until_s <= clock.monotonic_s():
                    self._kept[key] = _count(data_dir, record, clock)
            finally:
                self._one_at_a_time.release()
        kept = self._kept.get(key)
        if kept is None:
            return None
        return Counted(kept.tally, kept.at_ms, kept.until_s <= clock.monotonic_s())


def at_once(store: Engaged, records: Sequence[Record], now_ms: int) -> dict[int, Counted]:
    """The figures of all these, by number; nothing when that is too much to count for a page."""
    if store.profile_count() * max(_FEW, len(records)) > _FEW * LOOKED_AT:
        return {}
    counted = tally(store, records, now_ms)
    return {number: Counted(one, now_ms) for number, one in counted.items()}


def _count(data_dir: Path, record: Record, clock: Clock) -> _Kept:
    began_s, at_ms = clock.monotonic_s(), clock.now_ms()
    counted = tallied(data_dir, record.number, at_ms)
    ended_s = clock.monotonic_s()
    return _Kept(counted, at_ms, ended_s + max(_KEPT_AT_LEAST_S, _KEPT_TIMES * (ended_s - began_s)))
