"""The settings table: one row per setting, from which validation, docs, help and the app are made.

A destination publishes its rows (see `destinations/heap/settings.py`); the workspace checks values
against them without knowing any destination.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a value has to look like. The value of each member is how people read it in errors."""

    TEXT = "text"
    DIGITS = "digits"
    HOST = "a host name"
    URL = "an http or https URL without user name, query or fragment"
    CHOICE = "one of the choices"
    FLAG = "true or false"
    COUNT = "a whole number, 0 or more"
    DURATION = "a duration such as 30 minutes or 4 hours"
    TEXTS = "a list of texts"
    SLUG = "a slug (1 to 100 letters, digits, hyphens, dots or underscores, no dot or hyphen first)"
    WRITE_KEYS = "a list of write keys"
    HISTORY = "true, false or a duration such as 90 days"
    ANY = "any value"
    GROUP = "a mapping"
    GROUPS = "a list of mappings"
    NAMED_GROUPS = "a mapping from names to mappings"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name, what it accepts, what holds when it is left out, a sentence for people.

    `literal`: the text is taken as written; elsewhere `${VAR}` reads the environment.
    """

    name: str
    kind: Kind
    description: str
    default: Any = None
    required: bool = False
    secret: bool = False
    literal: bool = False
    choices: tuple[str, ...] = ()
    members: tuple["Setting", ...] = field(default=())

    @property
    def allowed(self) -> str:
        """What this setting accepts, in words, for errors and docs."""
        if self.kind is Kind.CHOICE:
            return " | ".join(self.choices)
        return str(self.kind)


_UNIT_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_DURATION = re.compile(r"\s*(\d{1,9})\s*(second|minute|hour|day)s?\s*")


def duration_s(text: str) -> int:
    """Seconds in a duration such as `4 hours`; ValueError when it is not one."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {Kind.DURATION}, found {text!r}")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def with_defaults(table: tuple[Setting, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values with every absent setting at its default; groups are filled in member by member.

    Lists are new ones even where a default is meant, so that nobody can change the row itself.
    """
    return {setting.name: _filled(setting, given) for setting in table}


def _filled(setting: Setting, given: Mapping[str, Any]) -> Any:
    members = setting.members
    if setting.kind is Kind.GROUP:
        return with_defaults(members, given.get(setting.name) or {})
    if setting.kind is Kind.GROUPS:
        return [with_defaults(members, item) for item in given.get(setting.name) or ()]
    if setting.kind is Kind.NAMED_GROUPS:
        named = given.get(setting.name) or {}
        return {name: with_defaults(members, item) for name, item in named.items()}
    value = given.get(setting.name, setting.default)
    return list(value) if isinstance(value, list | tuple) else value
