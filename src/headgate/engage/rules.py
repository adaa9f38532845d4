"""The rules of identity resolution: which types of identifiers there are, how many each person may have.

Made from `engage.identity` of the workspace; read where messages are observed and resolved.
Defaults: https://segment.com/docs/unify/identity-resolution/identity-resolution-onboarding/
"""

import re
from collections.abc import Mapping

import msgspec

from headgate.engage.profile import Identifier

USER_ID = "user_id"
EMAIL = "email"

_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_FOUND_ANYWAY = (USER_ID, EMAIL, "anonymous_id")  # they have places of their own in a message


class Rules(msgspec.Struct, frozen=True):
    """`limits` differ from the default; `keys`: where to look for configured types in traits and properties."""

    limits: dict[str, int] = {}
    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def limit(self, type_: str) -> int:
        """How many identifiers of a type a person can have."""
        return self.limits.get(type_, 1 if type_ == USER_ID else 5)


def rules_of(limits: Mapping[str, int]) -> Rules:
    """The rules for limits by name; `userId` and `user_id` are the same name.

    A type that Segment does not know, `phone` say, is also looked for among traits and properties, under
    both spellings.
    """
    named = {type_of(name): limit for name, limit in limits.items()}
    keys = tuple(
        (type_, tuple(dict.fromkeys((type_, _camel(type_)))))
        for type_ in sorted(named)
        if type_ not in _FOUND_ANYWAY and "." not in type_
    )
    return Rules(named, keys)


def type_of(name: str) -> str:
    """The type that a name of the configuration means: `anonymousId` is `anonymous_id`."""
    return _CAMEL.sub(r"_\1", name).lower()


def rank(identifier: Identifier) -> tuple[int, str]:
    """For sorting by priority: user_id, email, then the others by the alphabet."""
    type_ = identifier.type
    return (0 if type_ == USER_ID else 1 if type_ == EMAIL else 2), type_


def _camel(type_: str) -> str:
    first, *others = type_.split("_")
    return first + "".join(part.capitalize() for part in others)
