"""A profile: everything Engage keeps about one person, as one record.

Between identity resolution, which finds or merges it, and the computations, which read its traits and
leaves. Stored as one row, so that a message costs one row read and one written however many
computations there are.
"""

from typing import Any

import msgspec

TELLINGS = 1_000_000  # numbers of tellings that a profile has to itself
_MOST_LOST = 100


class Identifier(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One way to recognise a person: its type (`user_id`, `email`, `anonymous_id`, …) and its value."""

    type: str
    value: str


class Write(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A trait as one identify set it. The greatest one that is not in the future holds; null removes.

    Ordered by the message's own time, then by its arrival, then by its id, so that a late message
    never lands over a newer one.
    """

    at_ms: int
    received_at_ms: int
    message_id: str
    value: Any


class Sent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a destination was told last about one identifier and one computation.

    `number` counts these tellings; it is part of the messageId, so that a crash repeats and never doubles.
    It begins where no earlier profile's began: whoever is forgotten and comes back is told of anew. `lost`
    are the numbers of tellings that were in vain, the newest hundred.
    """

    value: Any
    number: int
    at_ms: int
    lost: tuple[int, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Whether the destination never got the last telling."""
        return self.number in self.lost

    @property
    def is_known(self) -> bool:
        """Whether the destination may have got any of the tellings."""
        return len(self.lost) < self.times

    def without(self, number: int) -> "Sent":
        """The same, with the telling of this number in vain."""
        lost = sorted({*self.lost, number})[-_MOST_LOST:]
        return Sent(self.value, self.number, self.at_ms, tuple(lost))

    def then(self, value: Any, at_ms: int) -> "Sent":
        """After the next telling."""
        return Sent(value, self.number + 1, at_ms, self.lost)

    @property
    def times(self) -> int:
        """How often it was told, counted from the first time that it was told of this person."""
        return self.number % TELLINGS


class Profile(msgspec.Struct, array_like=True, gc=False):
    """A person, as far as known.

    `leaves`: what was kept of the events, by number of the leaf (`computation/`). `values`: what every
    computation came to, by its number; null, and false of an audience, are left out. `sent`: by userId,
    then by "computation/destination". `is_known`: there is a userId, as counted last. `untold_since_ms`:
    since when destinations are to be told something at the next sync, 0 when there is nothing. `owed_from_ms`:
    from when on what was told in vain is told again, should anything happen; 0 when nothing was in vain.
    """

    id: int
    created_at_ms: int
    identifiers: list[Identifier] = []
    merges: int = 0
    traits: dict[str, list[Write]] = {}
    leaves: dict[int, Any] = {}
    values: dict[int, Any] = {}
    sent: dict[str, dict[str, Sent]] = {}
    is_known: bool = False
    untold_since_ms: int = 0
    owed_from_ms: int = 0

    def value(self, number: int, *, is_audience: bool) -> Any:
        """What a computation came to."""
        return self.values.get(number, False if is_audience else None)

    def set_value(self, number: int, value: Any, *, is_audience: bool) -> None:
        """Keeps what a computation came to."""
        if value is None or (is_audience and value is False):
            self.values.pop(number, None)
        else:
            self.values[number] = value

    def of_type(self, type_: str) -> list[str]:
        """The values of one type of identifier, in the order they were attached."""
        return [one.value for one in self.identifiers if one.type == type_]
