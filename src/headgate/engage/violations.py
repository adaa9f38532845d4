"""What identity resolution would not do, by kind: counted, and the last few kept to be looked at.

Filled while messages are observed and resolved, taken along when their batch is committed.
"""

from collections import Counter, deque
from typing import Literal

import msgspec

from headgate.engage.profile import Identifier

Kind = Literal[
    "value_blocked",  # `0000`, `null`, …: many people would become one
    "value_too_long",
    "external_id_malformed",  # a field is missing, or the type is not lower-case
    "too_many_identifiers",  # in one message
    "limit_exceeded",  # the person has enough of this type
    "identifier_cap",  # the person has enough identifiers of all types together
    "merge_cap",  # the person was merged often enough
]

KEPT = 100
_SHOWN_CHARACTERS = 64


class Violation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An identifier that was left out, of a message that arrived at `at_ms`."""

    kind: Kind
    at_ms: int
    message_id: str
    type: str
    value: str  # its beginning


class Violations:
    """Those of a batch."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.last: deque[Violation] = deque(maxlen=KEPT)

    def add(self, kind: Kind, identifier: Identifier, message_id: str, at_ms: int) -> None:
        """One more."""
        self.counts[kind] += 1
        self.last.append(
            Violation(kind, at_ms, message_id, shown(identifier.type), shown(identifier.value))
        )

    def clear(self) -> None:
        """They are committed."""
        self.counts.clear()
        self.last.clear()


def shown(text: str) -> str:
    """As much of a text as is kept."""
    return text[:_SHOWN_CHARACTERS]
