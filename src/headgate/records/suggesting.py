"""Names in a definition that nobody has seen: what was probably meant, and how often that was seen.

A definition may well name what is still to come, so these are doubts and no faults.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from headgate.language.errors import close_to
from headgate.language.mentions import Mention, mentions_of
from headgate.records.trials import Event, Seen


class Doubt(NamedTuple):
    """A sentence about the text from `begin` to `end`, and what may be meant instead, with how often it was seen."""

    begin: int
    end: int
    sentence: str
    instead: str
    seen: int


def doubts(text: str, seen: Seen, computed: Collection[str]) -> list[Doubt]:
    """What is doubtful in a definition that can be read; `computed` are the keys that `trait` may name."""
    events = {one.name: one for one in seen.events}
    traits = {one.path: one.messages for one in seen.traits}
    found = []
    for mention in mentions_of(text):
        if mention.kind == "event":
            found += _of_event(mention, events)
        elif mention.kind == "property":
            found += _of_property(mention, events)
        elif mention.name not in computed:
            known = traits | dict.fromkeys(computed, 0)
            found += _of(mention, known, "no newest identify call sets the trait", "")
    return found


def _of_event(mention: Mention, events: Mapping[str, Event]) -> list[Doubt]:
    known = {name: one.messages for name, one in events.items()}
    return _of(mention, known, "no event was received that is named", "")


def _of_property(mention: Mention, events: Mapping[str, Event]) -> list[Doubt]:
    """Only of events that were seen: of another one nothing is known."""
    event = events.get(mention.event)
    if event is None:
        return []
    known = {one.path: one.messages for one in event.properties}
    return _of(mention, known, "no property is named", f" in the newest {mention.event}")


def _of(mention: Mention, known: Mapping[str, int], what: str, where: str) -> list[Doubt]:
    if mention.name in known:
        return []
    sentence = f"{what} '{mention.name}'{where}"
    instead = close_to(mention.name, known)
    return [Doubt(mention.begin, mention.end, sentence, instead, known.get(instead, 0))]
