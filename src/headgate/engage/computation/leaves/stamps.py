"""Stamps: the instants of events, to be counted within sliding windows.

Where counts are only compared with constants, the newest ones are all that matters: `most` of those that
are not in the future, whatever the window. Otherwise all are kept that the window can still see.
"""

from bisect import bisect_right, insort
from collections.abc import Callable
from typing import Any

from headgate.engage.computation.kept import MOST_KEPT
from headgate.engage.computation.leaves.leaf import Accepts, Leaf, States
from headgate.engage.computation.moment import FOREVER, Evaluate, Finding, Moment
from headgate.engage.computation.spans import Span
from headgate.engage.observed import Observed

_MOST_LOOKED_AHEAD = 64  # steps; a timer that fires too early only looks again


class Stamps(Leaf):
    """State: instants in ascending order, and how many were left out."""

    def __init__(
        self,
        number: int,
        text: str,
        name: str,
        accepts: Accepts | None,
        *,
        most: int,
        reach_ms: int,
    ) -> None:
        super().__init__(number, text, name, accepts)
        self._most = most
        self._limit = min(most, MOST_KEPT)
        self._reach_ms = reach_ms

    def take(self, states: States, observed: Observed) -> bool:
        if self.accepts is not None and not self.accepts(observed):
            return False
        at_ms = observed.at_ms
        state = states.get(self.number)
        if state is None:
            states[self.number] = [[at_ms], 0]
            return True
        stamps = state[0]
        if not stamps or at_ms >= stamps[-1]:
            stamps.append(at_ms)
        else:
            insort(stamps, at_ms)
        if len(stamps) > self._limit or stamps[0] <= observed.received_at_ms - self._reach_ms:
            self._forget(state, observed.received_at_ms)
        return True

    def merge(self, state: Any, other: Any) -> Any:
        state[0] = sorted(state[0] + other[0])
        state[1] += other[1]
        self._forget(state, -FOREVER)
        return state

    def trim(self, state: Any, at_ms: int) -> Any | None:
        self._forget(state, at_ms)
        return state if state[0] or state[1] else None

    def counted(self, span: Span) -> Evaluate:
        """How many events there are in a window."""
        number, (near, far) = self.number, span

        def counted(now: Moment, _event: Any, _parent: Any) -> Finding:
            state = now.leaves.get(number)
            if state is None:
                return 0, FOREVER
            stamps, at_ms = state[0], now.at_ms
            entered = bisect_right(stamps, at_ms - near)
            left = bisect_right(stamps, at_ms - far)
            until = stamps[left] + far if left < entered else FOREVER
            if entered < len(stamps):
                until = min(until, stamps[entered] + near)
            return entered - left, until

        return counted

    def compared(self, span: Span, holds: Callable[[int], bool]) -> Evaluate:
        """Whether the number of events in a window passes a comparison, and until when.

        `holds` answers alike for all numbers from `most` on.
        """
        number, (near, far) = self.number, span
        nothing = (holds(0), FOREVER)

        def compared(now: Moment, _event: Any, _parent: Any) -> Finding:
            state = now.leaves.get(number)
            if state is None:
                return nothing
            stamps, at_ms = state[0], now.at_ms
            total = entered = len(stamps)
            if total and stamps[-1] > at_ms - near:
                entered = bisect_right(stamps, at_ms - near)
            left = bisect_right(stamps, at_ms - far, 0, entered)
            value = holds(entered - left)
            if entered < total:
                return value, _flips_at(stamps, left, entered, span, holds, value)
            for leaving in range(left, total):
                if holds(total - leaving - 1) is not value:
                    return value, stamps[leaving] + far
            return value, FOREVER

        return compared

    def _forget(self, state: Any, at_ms: int) -> None:
        """Drops what no window sees from an instant on, and then the oldest if there are too many."""
        stamps = state[0]
        past = bisect_right(stamps, at_ms)
        unseen = max(past - self._most, bisect_right(stamps, at_ms - self._reach_ms, 0, past))
        too_many = len(stamps) - MOST_KEPT
        state[1] += max(0, too_many - max(0, unseen))
        del stamps[: max(0, unseen, too_many)]


def _flips_at(
    stamps: list[int],
    left: int,
    entered: int,
    span: Span,
    holds: Callable[[int], bool],
    value: bool,
) -> int:
    """When events that leave and enter the window next change the answer; an instant before, if far off."""
    near, far = span
    total = len(stamps)
    until = FOREVER
    for _ in range(_MOST_LOOKED_AHEAD):
        leaves_at = stamps[left] + far if left < total else FOREVER
        enters_at = stamps[entered] + near if entered < total else FOREVER
        until = min(leaves_at, enters_at)
        if until >= FOREVER:
            return FOREVER
        while left < total and stamps[left] + far <= until:
            left += 1
        while entered < total and stamps[entered] + near <= until:
            entered += 1
        if holds(entered - left) is not value:
            return until
    return until
