"""Who is to die where: every named point of a role, in an order drawn from a seed, and random instants between.

A role goes through its points round after round. A life that ended otherwise gives its point back, and
one of the next lives tries it again.
"""

import random
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from crashing.points import Point, Role

_POINTS_TO_A_RANDOM_INSTANT = 3


class Manner(NamedTuple):
    """How a role dies: within how long, how often together with another one; and how often it is spared."""

    reached_within_s: float
    random_within_s: float
    both: float = 0.0
    spared: float = 0.0


MANNERS: Mapping[Role, Manner] = {
    "gateway": Manner(4.0, 2.5, both=0.6),
    "worker": Manner(3.0, 2.0, both=0.4),
    "sealing": Manner(5.0, 1.0, spared=0.6),
    "apply": Manner(5.0, 1.0, spared=0.6),
    "engage": Manner(4.0, 2.0),
    "archiving": Manner(5.0, 1.0, spared=0.4),
    "backfilling": Manner(5.0, 1.0, spared=0.4),
}
# Where the gateway lives for longer, others get as far as their points.
ENGAGE_MANNERS: Mapping[Role, Manner] = {
    **MANNERS,
    "gateway": Manner(20.0, 15.0),
    "worker": Manner(20.0, 15.0),
    "engage": Manner(6.0, 3.0, both=0.1),
}
_TRIED_AGAIN_AFTER = 3  # lives


class Order(NamedTuple):
    """How one life ends: at a passing of a point (None: nowhere), otherwise when its time is over, if ever."""

    point: str | None
    passing: int
    within_s: float | None
    both: bool


LIVE_ON = Order(point=None, passing=0, within_s=None, both=False)


class Plan:
    """The orders for the lives to come, whose ends are at these points."""

    def __init__(
        self, seed: int, points: Mapping[str, Point], manners: Mapping[Role, Manner] = MANNERS
    ) -> None:
        self._points = points
        self._manners = manners
        self._rng = {role: random.Random(f"{seed}/{role}") for role in manners}
        self._coming: dict[Role, deque[str | None]] = {role: deque() for role in manners}
        self.never_reached = set(points)

    def next(self, role: Role) -> Order:
        """The order for a life that begins."""
        rng, coming, manner = self._rng[role], self._coming[role], self._manners[role]
        if rng.random() < manner.spared:
            return LIVE_ON
        if len(coming) <= _TRIED_AGAIN_AFTER:
            coming.extend(self._a_round(role))
        point = coming.popleft()
        return Order(
            point=point,
            passing=rng.randint(1, self._points[point].passings if point else 1),
            within_s=manner.reached_within_s if point else rng.uniform(0, manner.random_within_s),
            both=rng.random() < manner.both,
        )

    def reached(self, point: str) -> None:
        """A life has ended at its point."""
        self.never_reached.discard(point)

    def missed(self, role: Role, point: str) -> None:
        """A life has ended before its point: another one is to try."""
        self._coming[role].insert(_TRIED_AGAIN_AFTER, point)

    def _a_round(self, role: Role) -> list[str | None]:
        points = [name for name, point in self._points.items() if point.role == role]
        instants = [None] * max(1, len(points) // _POINTS_TO_A_RANDOM_INSTANT)
        return self._rng[role].sample([*points, *instants], len(points) + len(instants))
