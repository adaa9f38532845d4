"""What a compiled definition is evaluated against, and what it is made of.

Every part of a definition becomes one function of (moment, event, parent). `event` and `parent` are None
outside of `where`; inside they are rows (see `leaves/rows.py`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from headgate.engage.profile import Profile

# Source: https://segment.com/docs/engage/audiences/ (Include Anonymous Users)
KNOWN_BY = frozenset({"user_id", "email", "android.idfa", "ios.idfa"})

FOREVER = 1 << 62  # later than any instant: what does not change without a message holds until then

Finding = tuple[Any, int]  # a value, and the instant until which it holds without a message


class Moment:
    """One profile at one instant. `found` remembers what the computations came to, by number."""

    __slots__ = ("at_ms", "found", "is_known", "leaves", "traits")

    def __init__(self, profile: Profile, at_ms: int) -> None:
        self.at_ms = at_ms
        self.leaves = profile.leaves
        self.traits = profile.traits
        self.is_known = any(one.type in KNOWN_BY for one in profile.identifiers)
        self.found: dict[int, Finding] = {}


Evaluate = Callable[[Moment, Any, Any], Finding]


class Part(NamedTuple):
    """A part of a definition, compiled. `left` is what a comparison compares."""

    text: str
    evaluate: Evaluate
    parts: "tuple[Part, ...]" = ()
    left: Evaluate | None = None
