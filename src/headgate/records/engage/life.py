"""A person's life as their messages tell it: where each identifier came from, which message brought two people
together. Pure; the messages are `messages.py`'s.

Identity resolution works in order of arrival and keeps no reasons. Going through the same messages in the same
order finds them again: a message whose identifiers belonged to two people until then is what merged them.
"""

from collections.abc import Iterable, Sequence

import msgspec

from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier


class Origin(msgspec.Struct, frozen=True):
    """An identifier and the first message that is held with it, None when none is."""

    identifier: Identifier
    message: Observed | None


class Merge(msgspec.Struct, frozen=True):
    """A message that made several people one: `joined` are its identifiers that were theirs."""

    message: Observed
    joined: tuple[Identifier, ...]


def origins(identifiers: Iterable[Identifier], messages: Sequence[Observed]) -> list[Origin]:
    """Where each of the identifiers came from."""
    first: dict[Identifier, Observed] = {}
    for message in _by_arrival(messages):
        for identifier in message.identifiers:
            first.setdefault(identifier, message)
    return [Origin(one, first.get(one)) for one in identifiers]


def merges(messages: Sequence[Observed], held: Iterable[Identifier]) -> list[Merge]:
    """What brought the person together, in order; `held` are the person's identifiers now.

    Identifiers of a message that the person has not got were left out of it: they were too many.
    """
    own = set(held)
    person_of: dict[Identifier, int] = {}
    found: list[Merge] = []
    for message in _by_arrival(messages):
        named = [one for one in message.identifiers if one in own]
        people = {person_of[one] for one in named if one in person_of}
        if len(people) > 1:
            found.append(Merge(message, tuple(one for one in named if one in person_of)))
        remaining = min(people, default=message.seq)
        gone = people - {remaining}
        person_of.update({one: remaining for one, person in person_of.items() if person in gone})
        person_of.update(dict.fromkeys(named, remaining))
    return found


def _by_arrival(messages: Sequence[Observed]) -> list[Observed]:
    return sorted(messages, key=lambda one: one.seq)
