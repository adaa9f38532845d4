"""Who is in an audience, who has a value of a computed trait: everybody, one after the other."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from headgate.engage.registry import Record
from headgate.engage.sync import is_empty
from headgate.records.engage.people import identifiers_by_type
from headgate.records.engage.stored import Engaged

_TELL_EVERY = 1_000


class Member(msgspec.Struct, frozen=True, rename="camel"):
    """A person and the value: true for an audience. `identifiers` by type."""

    profile: int
    value: Any
    identifiers: dict[str, list[str]]


def members(
    store: Engaged, record: Record, looked_at: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Member]:
    """Members in the order in which they were first seen; `looked_at` is told how far the search is.

    What was evaluated last is told: a server that runs has evaluated everything that is due.
    """
    last = store.position().last_profile
    for n, profile in enumerate(store.profiles()):
        if n % _TELL_EVERY == 0:
            looked_at(profile.id, last)
        value = profile.value(record.number, is_audience=record.is_audience)
        if value is True if record.is_audience else not is_empty(value):
            yield Member(profile.id, value, identifiers_by_type(profile.identifiers))
