"""People as they are named and shown: by a userId or `TYPE:VALUE`, with everything that identifies them."""

import re
from collections.abc import Iterable

from headgate.engage.profile import Identifier, Profile
from headgate.engage.reader import EngageReader
from headgate.engage.rules import USER_ID, type_of
from headgate.records.engage.stored import Engaged

_NUMBERED = "profile:"  # no type of identifiers that Segment knows
_MOST_DIGITS = 18  # SQLite's numbers end above

_TYPED = re.compile(r"([a-zA-Z][a-zA-Z0-9_.]*):(.+)", re.DOTALL)


def find_person(store: EngageReader, named: str) -> Profile | None:
    """Whom a person means: a userId to the letter, or else `email:ann@example.com`."""
    for identifier in _meant(named):
        if profile := store.find(identifier):
            return profile
    return None


def beginning_with(store: Engaged, text: str, limit: int) -> dict[int, Identifier]:
    """People with an identifier that begins like this, and which; `TYPE:` in front asks for that type alone."""
    found = store.beginning_with(text, limit)
    if typed := _TYPED.fullmatch(text):
        found += store.beginning_with(typed[2], limit, of_type=type_of(typed[1]))
    return {profile: identifier for identifier, profile in found[:limit]}


def numbered(store: EngageReader, named: str) -> Profile | None:
    """Whom `profile:12` means, also when that profile is part of another one by now."""
    number = named.removeprefix(_NUMBERED) if named.startswith(_NUMBERED) else ""
    is_number = number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS
    return store.profile(int(number)) if is_number else None


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
