"""Which messages people mean: by time, source, destination, user, type, event, id, outcome and reason.

The commands build it from their options; `selection.py` looks the messages up.
"""

from collections.abc import Collection
from contextlib import closing
from difflib import SequenceMatcher

import msgspec

from headgate.records.stored import Stored
from headgate.records.stretches import Range
from headgate.spec.names import CALL_TYPES
from headgate.spec.reasons import DOOR_ONLY_REASONS, REASONS
from headgate.spec.timestamps import iso_ms

_NAMED = 10

ANYTIME = Range()


class Unknown(Exception):
    """A criterion names something that there is not; `option` says which one, the text what there is."""

    def __init__(self, option: str, words: str) -> None:
        super().__init__(words)
        self.option = option


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """A message fits when it fits each of these; of several values one is enough, none asks for nothing.

    `received` is a half-open range of receivedAt.
    """

    received: Range = ANYTIME
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def asks_for_nothing(self) -> bool:
        """Whether every message fits."""
        return self == Criteria()

    def fits(self, outcome: str, reason: str) -> bool:
        """Whether a message with this outcome fits, as far as outcomes go."""
        return (not self.outcomes or outcome in self.outcomes) and (
            not self.reasons or reason in self.reasons
        )

    def check(self, stored: Stored) -> None:
        """Raises Unknown when something is named that this data directory does not know."""
        _check("--source", "source", self.sources, stored.sources)
        slugs = [stay.slug for stay in stored.history]
        _check("--destination", "destination", self.destinations, slugs)
        _check("--type", "type", self.types, CALL_TYPES)
        _check_reasons(self.reasons, stored)

    def __str__(self) -> str:
        """In words for people, one line."""
        parts = [*_range_words(self.received)]
        parts += [
            f"{name} {' or '.join(values)}"
            for name, values in (
                ("source", self.sources),
                ("destination", self.destinations),
                ("user", self.users),
                ("type", self.types),
                ("event", self.events),
                ("id", self.ids),
                ("outcome", self.outcomes),
                ("reason", self.reasons),
            )
            if values
        ]
        return ", ".join(parts) or "everything"


def _range_words(wanted: Range) -> list[str]:
    words = []
    if wanted.from_ms is not None:
        words.append(f"received from {iso_ms(wanted.from_ms)}")
    if wanted.to_ms is not None:
        words.append(f"received before {iso_ms(wanted.to_ms)}")
    return words


def _check_reasons(reasons: tuple[str, ...], stored: Stored) -> None:
    recorded = _recorded_reasons(stored) if reasons else set()
    for reason in reasons:
        if reason in DOOR_ONLY_REASONS and reason not in recorded:
            words = (
                f"{reason} is a reason for which the doors refuse messages, which then never get into"
                " the log: headgate status counts them, and headgate trace ID tells of one"
            )
            raise Unknown("--reason", words)
    known = recorded | (REASONS.keys() - DOOR_ONLY_REASONS)
    _check("--reason", "reason", reasons, known, "; docs/outcomes.md has all")


def _recorded_reasons(stored: Stored) -> set[str]:
    facts = stored.facts()
    if facts is None:
        return set()
    with closing(facts):
        return {tally.reason for tally in facts.tallies()} - {""}


def _check(
    option: str, what: str, named: tuple[str, ...], known: Collection[str], see: str = ""
) -> None:
    for name in named:
        if name not in known:
            words = f"there is no {what} {name!r}; {_there_are(name, set(known))}{see}"
            raise Unknown(option, words)


def _there_are(name: str, known: set[str]) -> str:
    """What could be meant, the most similar first."""
    nearest = sorted(known, key=lambda one: (-SequenceMatcher(None, one, name).ratio(), one))
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    return f"there are: {', '.join(nearest[:_NAMED]) or 'none'}{more}"
