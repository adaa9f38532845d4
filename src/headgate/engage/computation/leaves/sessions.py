"""Sessions: chains of events without a gap over some length, each folded into one value.

Two events of one chain never part again, whatever arrives late, so that a chain is all that is kept.
"""

from bisect import bisect_left, bisect_right
from copy import deepcopy
from operator import itemgetter
from typing import Any

from headgate.engage.computation.folds import Fold, Row
from headgate.engage.computation.kept import MOST_KEPT
from headgate.engage.computation.leaves.leaf import Accepts, Leaf, States
from headgate.engage.computation.moment import FOREVER, Evaluate, Finding, Moment
from headgate.engage.observed import Observed

_first, _last = itemgetter(0), itemgetter(1)


class Sessions(Leaf):
    """State: chains in order, each with its first and last instant and the fold's state; the rows of future
    events by instant, [instant, None] where there is no value; how many of either were left out.
    """

    def __init__(
        self,
        number: int,
        text: str,
        name: str,
        accepts: Accepts | None,
        *,
        fold: Fold,
        gap_ms: int,
    ) -> None:
        super().__init__(number, text, name, accepts)
        self._fold = fold
        self._gap_ms = gap_ms

    def take(self, states: States, observed: Observed) -> bool:
        if self.accepts is not None and not self.accepts(observed):
            return False
        state = states.setdefault(self.number, [[], [], 0])
        state[1].append(self._fold.row(observed) or [observed.at_ms, None])
        self._settle(state, observed.received_at_ms)
        return True

    def merge(self, state: Any, other: Any) -> Any:
        for chain in other[0]:
            self._link(state, chain)
        state[1] += other[1]
        state[2] += other[2]
        self._settle(state, -FOREVER)
        return state

    def trim(self, state: Any, at_ms: int) -> Any | None:
        self._settle(state, at_ms)
        return state

    def dropped(self, state: Any) -> int:
        return super().dropped(state) + sum(self._fold.dropped(chain[2]) for chain in state[0])

    def ongoing(self) -> Evaluate:
        """What the events of the session that goes on come to; nothing between sessions."""
        nothing = self._fold.result(self._fold.empty())

        def ongoing(now: Moment, _event: Any, _parent: Any) -> Finding:
            state = now.leaves.get(self.number)
            if state is None:
                return nothing, FOREVER
            if state[1] and state[1][0][0] <= now.at_ms:
                state = deepcopy(state)
                self._settle(state, now.at_ms)
            chains, future = state[0], state[1]
            until = future[0][0] if future else FOREVER
            ends_at = chains[-1][1] + self._gap_ms if chains else -FOREVER
            if ends_at <= now.at_ms:
                return nothing, until
            return self._fold.result(chains[-1][2]), min(until, ends_at)

        return ongoing

    def _settle(self, state: Any, at_ms: int) -> None:
        """Links the events that are not in the future, and keeps the others in order."""
        chains, future = state[0], state[1]
        future.sort(key=_first)
        while future and future[0][0] <= at_ms:
            row = future.pop(0)
            self._link(state, [row[0], row[0], self._folded(row)])
        state[2] += max(0, len(chains) - MOST_KEPT) + max(0, len(future) - MOST_KEPT)
        del chains[: max(0, len(chains) - MOST_KEPT)]
        del future[MOST_KEPT:]

    def _folded(self, row: Row) -> Any:
        """An event by itself; one that has nothing to give goes on with its session all the same."""
        nothing = self._fold.empty()
        return nothing if row[-1] is None else self._fold.add(nothing, row)

    def _link(self, state: Any, chain: list[Any]) -> None:
        """Puts a chain among the others, and makes one of all that are near enough."""
        chains = state[0]
        begin = bisect_left(chains, chain[0] - self._gap_ms, key=_last)
        end = bisect_right(chains, chain[1] + self._gap_ms, key=_first)
        for near in chains[begin:end]:
            joined = self._fold.join(near[2], chain[2])
            chain = [min(chain[0], near[0]), max(chain[1], near[1]), joined]
        chains[begin:end] = [chain]
