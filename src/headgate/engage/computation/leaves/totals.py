"""Totals: what no window forgets, folded into one value; only future events are kept as they are."""

from copy import deepcopy
from operator import itemgetter
from typing import Any

from headgate.engage.computation.folds import Fold, Row
from headgate.engage.computation.kept import MOST_KEPT
from headgate.engage.computation.leaves.leaf import Accepts, Leaf, States
from headgate.engage.computation.moment import FOREVER, Evaluate, Finding, Moment
from headgate.engage.observed import Observed

_instant = itemgetter(0)


class Total(Leaf):
    """State: the fold's state, the rows of future events by instant, how many of these were left out."""

    def __init__(
        self, number: int, text: str, name: str, accepts: Accepts | None, fold: Fold
    ) -> None:
        super().__init__(number, text, name, accepts)
        self._fold = fold

    def take(self, states: States, observed: Observed) -> bool:
        if self.accepts is not None and not self.accepts(observed):
            return False
        row = self._fold.row(observed)
        if row is None:
            return False
        state = states.get(self.number)
        if state is None:
            state = states[self.number] = [self._fold.empty(), [], 0]
        elif state[1]:
            self._settle(state, observed.received_at_ms)
        if row[0] <= observed.received_at_ms:
            state[0] = self._fold.add(state[0], row)
        else:
            _await(state, [row])
        return True

    def merge(self, state: Any, other: Any) -> Any:
        state[0] = self._fold.join(state[0], other[0])
        _await(state, other[1])
        state[2] += other[2]
        return state

    def trim(self, state: Any, at_ms: int) -> Any | None:
        self._settle(state, at_ms)
        return state

    def dropped(self, state: Any) -> int:
        return super().dropped(state) + self._fold.dropped(state[0])

    def total(self) -> Evaluate:
        """What all events come to."""
        number, result = self.number, self._fold.result
        nothing = (result(self._fold.empty()), FOREVER)

        def total(now: Moment, _event: Any, _parent: Any) -> Finding:
            state = now.leaves.get(number)
            if state is None:
                return nothing
            if not state[1]:
                return result(state[0]), FOREVER
            folded, until = self._folded(state, now.at_ms)
            return result(folded), until

        return total

    def newest(self, span_ms: int) -> Evaluate:
        """The value of the last event, unless it is `span_ms` old; this leaf's fold keeps the last."""

        def newest(now: Moment, _event: Any, _parent: Any) -> Finding:
            state = now.leaves.get(self.number)
            if state is None:
                return None, FOREVER
            last, until = self._folded(state, now.at_ms) if state[1] else (state[0], FOREVER)
            if last is None or last[0] <= now.at_ms - span_ms:
                return None, until
            return self._fold.result(last), min(until, last[0] + span_ms)

        return newest

    def _folded(self, state: Any, at_ms: int) -> Finding:
        """The fold's state at an instant, and until when it is that; the leaf's own stays as it is."""
        folded, future = state[0], state[1]
        due = [row for row in future if row[0] <= at_ms]
        if due:
            folded = deepcopy(folded)
            for row in due:
                folded = self._fold.add(folded, row)
        return folded, future[len(due)][0] if len(due) < len(future) else FOREVER

    def _settle(self, state: Any, at_ms: int) -> None:
        """Folds the events that were in the future and are no longer."""
        future = state[1]
        while future and future[0][0] <= at_ms:
            state[0] = self._fold.add(state[0], future.pop(0))


def _await(state: Any, rows: list[Row]) -> None:
    """Keeps rows of future events, the soonest ones when there are too many."""
    future = state[1]
    future += rows
    future.sort(key=_instant)
    state[2] += max(0, len(future) - MOST_KEPT)
    del future[MOST_KEPT:]
