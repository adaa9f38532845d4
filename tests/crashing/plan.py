"""Who is to die where: every named point of a role, in an order drawn from a seed, and random instants between.

A role goes through its points round after round. A life that ended otherwise gives its point back, and
one of the next lives tries it again.
"""

import random
from collections import deque
from typing import NamedTuple

from crashing.points import POINTS, Role

ROLES: tuple[Role, ...] = ("gateway", "worker", "sealing", "apply")
_REACHED_WITHIN_S: dict[Role, float] = {"gateway": 4.0, "worker": 3.0, "sealing": 5.0, "apply": 5.0}
_RANDOM_WITHIN_S: dict[Role, float] = {"gateway": 2.5, "worker": 2.0, "sealing": 1.0, "apply": 1.0}
_POINTS_TO_A_RANDOM_INSTANT = 3
_BOTH_DIE: dict[Role, float] = {"gateway": 0.6, "worker": 0.4, "sealing": 0.0, "apply": 0.0}
_SPARED: dict[Role, float] = {"gateway": 0.0, "worker": 0.0, "sealing": 0.6, "apply": 0.6}
_TRIED_AGAIN_AFTER = 3  # lives


class Order(NamedTuple):
    """How one life ends: at a passing of a point (None: nowhere), otherwise when its time is over, if ever."""

    point: str | None
    passing: int
    within_s: float | None
    both: bool


LIVE_ON = Order(point=None, passing=0, within_s=None, both=False)


class Plan:
    """The orders for the lives to come."""

    def __init__(self, seed: int) -> None:
        self._rng = {role: random.Random(f"{seed}/{role}") for role in ROLES}
        self._coming: dict[Role, deque[str | None]] = {role: deque() for role in ROLES}
        self.never_reached = set(POINTS)

    def next(self, role: Role) -> Order:
        """The order for a life that begins."""
        rng, coming = self._rng[role], self._coming[role]
        if rng.random() < _SPARED[role]:
            return LIVE_ON
        if len(coming) <= _TRIED_AGAIN_AFTER:
            coming.extend(_a_round(role, rng))
        point = coming.popleft()
        return Order(
            point=point,
            passing=rng.randint(1, POINTS[point].passings if point else 1),
            within_s=_REACHED_WITHIN_S[role] if point else rng.uniform(0, _RANDOM_WITHIN_S[role]),
            both=rng.random() < _BOTH_DIE[role],
        )

    def reached(self, point: str) -> None:
        """A life has ended at its point."""
        self.never_reached.discard(point)

    def missed(self, role: Role, point: str) -> None:
        """A life has ended before its point: another one is to try."""
        self._coming[role].insert(_TRIED_AGAIN_AFTER, point)


def _a_round(role: Role, rng: random.Random) -> list[str | None]:
    points = [name for name, point in POINTS.items() if point.role == role]
    instants = [None] * (len(points) // _POINTS_TO_A_RANDOM_INSTANT)
    return rng.sample([*points, *instants], len(points) + len(instants))
