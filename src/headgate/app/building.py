"""What the builder is told of a definition while it is being made: its other form, a sentence, faults, doubts.

    text or drawing → both, in step                  definition → `records.trials` → who would be in it

The text is the truth: it is what is saved. A drawing comes back as the browser sent it only when it was drawn
there, so that nobody's half-finished conditions are taken away.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from headgate.app.computations import TRAITS, House, Kind
from headgate.app.values import seconds_in_words
from headgate.clock import Clock
from headgate.language.drawing import (
    Group,
    Happening,
    Written,
    drawing_of,
    happening_of,
)
from headgate.language.drawing_text import Lettered, written_drawing
from headgate.language.errors import DefinitionError
from headgate.language.parser import parse_audience, parse_trait
from headgate.language.sentence import sentence_of
from headgate.language.tree import Condition, Definition, Reduced
from headgate.records.suggesting import Doubt, doubts
from headgate.records.trials import Seen, Trials, Tried

Drawing = Group | Happening | Written

_decode = msgspec.json.Decoder(Drawing).decode


_TRIALS: dict[Path, Trials] = {}  # by data directory


class NoDrawing(ValueError):
    """What the browser sent as a drawing is none."""


class Fault(msgspec.Struct, frozen=True):
    """Why the definition cannot be used. `path` leads to the condition; `pointed` is the line with a caret."""

    sentence: str
    begin: int
    path: str
    pointed: str


class Doubtful(msgspec.Struct, frozen=True):
    """A name that was never seen, and what was, so often, if anything is near. `path` leads to the condition."""

    sentence: str
    begin: int
    end: int
    path: str
    instead: str
    seen: int


class Told(msgspec.Struct, frozen=True):
    """A definition in both forms; without a `drawing` when the text cannot be read."""

    text: str
    drawing: Drawing | None
    sentence: str
    fault: Fault | None
    doubts: list[Doubtful]


class Builder(msgspec.Struct, frozen=True):
    """Reads definitions of one kind. `names` of audiences by key; `computed` are all keys; `seen` if known."""

    kind: Kind
    names: Mapping[str, str]
    computed: Sequence[str]
    seen: Seen | None

    def of_text(self, text: str) -> Told:
        """What there is to say of a text."""
        if not text.strip():
            return Told(text, _nothing_of(self.kind), "", None, [])
        try:
            tree = self._parsed(text)
        except DefinitionError as error:
            return Told(text, None, "", _fault(error), [])
        drawing = self._drawn(tree)
        return Told(text, drawing, self._sentence(tree), None, self._doubts(text, drawing))

    def of_drawing(self, sent: str) -> Told:
        """What there is to say of a drawing; raises NoDrawing."""
        try:
            drawing = _decode(sent)
        except (msgspec.DecodeError, RecursionError) as error:
            raise NoDrawing(str(error)) from None
        lettered = written_drawing(drawing)
        if not lettered.text:
            return Told("", drawing, "", None, [])
        try:
            tree = self._parsed(lettered.text)
        except DefinitionError as error:
            return Told(lettered.text, drawing, "", _fault(error, lettered), [])
        found = self._doubts(lettered.text, drawing)
        return Told(lettered.text, drawing, self._sentence(tree), None, found)

    def _parsed(self, text: str) -> Condition | Reduced:
        return parse_trait(text) if self.kind is TRAITS else parse_audience(text)

    def _drawn(self, tree: Condition | Reduced) -> Drawing:
        audiences = self.names.keys()
        if isinstance(tree, Reduced):
            return happening_of(tree, audiences)
        return drawing_of(tree, audiences)

    def _sentence(self, tree: Definition) -> str:
        return sentence_of(tree, self.names)

    def _doubts(self, text: str, drawing: Drawing) -> list[Doubtful]:
        """The same names stand in the same order in both texts, the one that was typed and the drawing's."""
        if self.seen is None:
            return []
        lettered = written_drawing(drawing)
        typed = doubts(text, self.seen, self.computed)
        drawn = doubts(lettered.text, self.seen, self.computed)
        return [
            _doubtful(one, lettered.condition_at(other.begin))
            for one, other in zip(typed, drawn, strict=True)
        ]


def consequence(
    house: House, tried: Tried, wanted: Sequence[str], told: Sequence[str] | None
) -> str:
    """What saving sends, in words. `wanted` destinations; `told` are those so far, None of something new."""
    if not wanted:
        return "No destination is chosen: nobody is told."
    changes = tried.calls
    if tried.entering is not None and tried.leaving is not None:
        changes = tried.entering + tried.leaving
    calls = {slug: changes if told and slug in told else tried.calls for slug in wanted}
    verb = "Create" if told is None else "Saving"
    about = "" if told is None or not tried.calls else "about "
    many = f"{about}{sum(calls.values()):,} identify {_plural(sum(calls.values()), 'call')}"
    times = [house.drain_s(slug, n) for slug, n in calls.items()]
    longest = max((one for one in times if one), default=0.0)
    took = f", {seconds_in_words(longest)}" if longest else ""
    return f"{verb} sends {many}{took}."


def trials_of(data_dir: Path, clock: Clock) -> Trials:
    """The trials of a data directory, one for the whole app."""
    return _TRIALS.setdefault(data_dir, Trials(data_dir, clock))


def _fault(error: DefinitionError, lettered: Lettered | None = None) -> Fault:
    path = lettered.condition_at(error.position) if lettered else ""
    pointed = str(error).removeprefix(error.sentence).strip("\n")
    return Fault(error.sentence, error.position, path, pointed)


def _doubtful(one: Doubt, path: str) -> Doubtful:
    return Doubtful(one.sentence, one.begin, one.end, path, one.instead, one.seen)


def _nothing_of(kind: Kind) -> Drawing | None:
    """What an empty text is drawn as."""
    return None if kind is TRAITS else Group("all")


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
