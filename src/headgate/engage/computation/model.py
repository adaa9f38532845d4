"""A computation as `Program` takes it, and what it comes to."""

from typing import Any, Literal

import msgspec

from headgate.language.tree import Definition


class Computation(msgspec.Struct, frozen=True):
    """A computed trait or an audience.

    `history`: whether events from before `created_at_ms` count, or how far back in milliseconds events
    count at any time. `wait`: a did-not funnel waits until its window has passed. Without
    `include_anonymous`, an audience has only people with an identifier that is more than a device's.
    """

    number: int
    key: str
    kind: Literal["audience", "trait"]
    tree: Definition
    created_at_ms: int
    history: bool | int = True
    wait: bool = False
    include_anonymous: bool = True


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """A value, and the next instant at which it may change without a message; None: never."""

    value: Any
    until_ms: int | None


class Explanation(msgspec.Struct, frozen=True):
    """A part of a definition, as it stands for one profile.

    `value`: what the part comes to, true or false for a condition. `compared`: for a comparison, what its
    left side comes to. `until_ms` as in `Outcome`.
    """

    text: str
    value: Any
    until_ms: int | None
    compared: Any = None
    parts: "tuple[Explanation, ...]" = ()
