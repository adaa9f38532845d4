"""Rows: events kept one by one, with the values that are still needed when a definition is evaluated.

For what a message alone cannot settle: values within sliding windows, conditions on traits and on the
present time, and events that follow others. A row is the event's instant, what its fold wants of it, and
the values that conditions ask for, in the order of `Slots`.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from headgate.engage.computation.folds import Fold, Read, Row
from headgate.engage.computation.kept import MOST_KEPT, kept
from headgate.engage.computation.leaves.leaf import Accepts, Leaf, States
from headgate.engage.computation.moment import FOREVER, Evaluate, Finding, Moment
from headgate.engage.computation.spans import Behind, Span
from headgate.engage.observed import Observed

MOST_TRIED = 500  # rows with conditions: each may have to be tried against each that follows it

_instant = itemgetter(0)
_NO_ROWS: list[Row] = []


class Rows(Leaf):
    """State: rows by instant, and how many were left out. `reads`: the values that conditions ask for.

    `keeps_empty`: also events that have nothing to give, since they go on with a session all the same.
    """

    def __init__(
        self,
        number: int,
        text: str,
        name: str,
        accepts: Accepts | None,
        *,
        fold: Fold,
        reads: Sequence[Read],
        reach_ms: int,
        most: int = MOST_KEPT,
        keeps_empty: bool = False,
    ) -> None:
        super().__init__(number, text, name, accepts)
        self._fold = fold
        self._reads = reads
        self._reach_ms = reach_ms
        self._most = most
        self._keeps_empty = keeps_empty

    def take(self, states: States, observed: Observed) -> bool:
        if self.accepts is not None and not self.accepts(observed):
            return False
        row = self._fold.row(observed)
        if row is None:
            if not self._keeps_empty:
                return False
            row = [observed.at_ms, *[None] * self._fold.width]
        for read in self._reads:
            row.append(kept(read(observed)))
        state = states.get(self.number)
        if state is None:
            states[self.number] = [[row], 0]
            return True
        rows = state[0]
        insort(rows, row, key=_instant)
        if len(rows) > self._most or rows[0][0] <= observed.received_at_ms - self._reach_ms:
            self._forget(state, observed.received_at_ms)
        return True

    def merge(self, state: Any, other: Any) -> Any:
        state[0] = sorted(state[0] + other[0], key=_instant)
        state[1] += other[1]
        self._forget(state, -FOREVER)
        return state

    def trim(self, state: Any, at_ms: int) -> Any | None:
        self._forget(state, at_ms)
        return state if state[0] or state[1] else None

    def within(self, span: Span, passes: Evaluate | None) -> Evaluate:
        """What the events in a window that pass a condition come to."""
        number, (near, far), over = self.number, span, self._fold.over

        def within(now: Moment, _event: Any, _parent: Any) -> Finding:
            rows = now.leaves[number][0] if number in now.leaves else _NO_ROWS
            entered = bisect_right(rows, now.at_ms - near, key=_instant)
            left = bisect_right(rows, now.at_ms - far, 0, entered, key=_instant)
            until = rows[entered][0] + near if entered < len(rows) else FOREVER
            chosen, settled = _passing(now, rows[left:entered], passes, None)
            if chosen:
                until = min(until, chosen[0][0] + far)
            return over(chosen), min(until, settled)

        return within

    def session(self, gap_ms: int, span: Span, passes: Evaluate | None) -> Evaluate:
        """What the events come to that pass a condition and are of the session that goes on."""
        number, far, over, width = self.number, span.far, self._fold.over, self._fold.width

        def session(now: Moment, _event: Any, _parent: Any) -> Finding:
            rows = now.leaves[number][0] if number in now.leaves else _NO_ROWS
            entered = bisect_right(rows, now.at_ms, key=_instant)
            left = bisect_right(rows, now.at_ms - far, 0, entered, key=_instant)
            until = rows[entered][0] if entered < len(rows) else FOREVER
            chosen, settled = _passing(now, rows[left:entered], passes, None)
            until = min(until, settled)
            if not chosen or chosen[-1][0] + gap_ms <= now.at_ms:
                return over(_NO_ROWS), until
            chain = _newest_chain(chosen, gap_ms)
            giving = [row for row in chain if row[width] is not None]
            return over(giving), min(until, chosen[-1][0] + gap_ms, chain[0][0] + far)

        return session

    def behind(self, window: Behind, passes: Evaluate | None) -> Evaluate:
        """What the events come to that follow the event at hand within a window and pass a condition."""
        number, over = self.number, self._fold.over
        first, last, _ = window

        def behind(now: Moment, event: Row, _parent: Any) -> Finding:
            rows = now.leaves[number][0] if number in now.leaves else _NO_ROWS
            end_ms = event[0] + last
            begin = bisect_left(rows, event[0] + first, key=_instant)
            end = bisect_right(rows, min(end_ms, now.at_ms), begin, key=_instant)
            until = FOREVER
            if end < len(rows) and rows[end][0] <= end_ms:
                until = rows[end][0]
            chosen, settled = _passing(now, rows[begin:end], passes, event)
            return over(chosen), min(until, settled)

        return behind

    def _forget(self, state: Any, at_ms: int) -> None:
        """Drops what no window sees from an instant on, and then the oldest if there are too many."""
        rows = state[0]
        unseen = bisect_right(rows, at_ms - self._reach_ms, key=_instant)
        too_many = len(rows) - self._most
        state[1] += max(0, too_many - unseen)
        del rows[: max(unseen, too_many)]


def _passing(
    now: Moment, rows: list[Row], passes: Evaluate | None, parent: Row | None
) -> tuple[list[Row], int]:
    """The rows that pass, and until when it will be these."""
    if passes is None:
        return rows, FOREVER
    chosen, until = [], FOREVER
    for row in rows:
        is_passing, settled = passes(now, row, parent)
        if settled < until:
            until = settled
        if is_passing:
            chosen.append(row)
    return chosen, until


def _newest_chain(rows: list[Row], gap_ms: int) -> list[Row]:
    begin = len(rows) - 1
    while begin and rows[begin][0] - rows[begin - 1][0] <= gap_ms:
        begin -= 1
    return rows[begin:]
