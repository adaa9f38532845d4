"""People as they are named and shown: by a userId or `TYPE:VALUE`, with everything that identifies them."""

import re
from collections.abc import Iterable

from headgate.engage.profile import Identifier, Profile
from headgate.engage.reader import EngageReader
from headgate.engage.rules import USER_ID, type_of

_TYPED = re.compile(r"([a-zA-Z][a-zA-Z0-9_.]*):(.+)", re.DOTALL)


def find_person(store: EngageReader, named: str) -> Profile | None:
    """Whom a person means: a userId to the letter, or else `email:ann@example.com`."""
    for identifier in _meant(named):
        if profile := store.find(identifier):
            return profile
    return None


def identifiers_by_type(identifiers: Iterable[Identifier]) -> dict[str, list[str]]:
    """The values of each type in the order in which they came, the userId first."""
    by_type: dict[str, list[str]] = {}
    for one in sorted(identifiers, key=lambda one: one.type != USER_ID):
        by_type.setdefault(one.type, []).append(one.value)
    return by_type


def _meant(named: str) -> list[Identifier]:
    meant = [Identifier(USER_ID, named)]
    if typed := _TYPED.fullmatch(named):
        meant.append(Identifier(type_of(typed[1]), typed[2]))
    return meant
