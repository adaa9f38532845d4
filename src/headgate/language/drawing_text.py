"""The text of a drawing, as `printer` would write its tree, and where in it each condition stands.

Of an unfinished drawing as well: what is missing is a `?` in the text, which is refused there, so that the
place of the fault leads back to the condition.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from headgate.language.drawing import (
    Attribute,
    Check,
    Group,
    Happening,
    Member,
    Part,
    Span,
    Value,
    Window,
    Written,
)
from headgate.language.errors import DefinitionError
from headgate.language.functions import COMPARISONS
from headgate.language.syntax import HOLE, syntax_of
from headgate.language.texts import written

_WORD = re.compile(r"[^\s'\"()\[\]{},.:]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?)?")
_JOINTS = {"all": " AND ", "any": " OR "}
_SHAPES = {"both": "all", "either": "any"}
_WEAKER = {"all": ("all", "any"), "any": ("any",)}  # what needs brackets inside
_WITHOUT_VALUE = ("exists", "absent")
_PARENT = "parent: "


class Stretch(NamedTuple):
    """Where a condition stands in the text. `path`: the numbers of the parts that lead to it, `w` is `where`."""

    path: str
    begin: int
    end: int


class Lettered(NamedTuple):
    """A text and where its conditions are, outer ones before those inside them."""

    text: str
    stretches: tuple[Stretch, ...]

    def condition_at(self, position: int) -> str:
        """The path of the innermost condition around a position; "" for the whole."""
        around = [one for one in self.stretches if one.begin <= position <= one.end]
        innermost = min(reversed(around), key=lambda one: one.end - one.begin, default=None)
        return innermost.path if innermost else ""


def written_drawing(drawing: Part | Happening) -> Lettered:
    """The definition's text; of a computed trait when it is a happening."""
    pen = _Pen()
    if isinstance(drawing, Happening):
        pen.happening(drawing, "", 0)
    else:
        pen.condition(drawing, "", 0)
    return Lettered("".join(pen.pieces), tuple(pen.stretches))


class _Pen:
    """Writes piece after piece. `level` is the number of `where`s around."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.stretches: list[Stretch] = []
        self._length = 0

    def condition(self, part: Part, path: str, level: int) -> None:
        """A condition with its `NOT`."""
        with self._stretch(path), self._around(part.negated, "NOT (", ")"):
            match part:
                case Group(join, parts):
                    self._joined(join, parts, path, level)
                case Check():
                    self._check(part, path, level)
                case Member(key):
                    self._write(f"trait({written(key)}) = true")
                case Written(text):
                    self._write(text)

    def happening(self, one: Happening, path: str, level: int) -> None:
        """Events and what they come to."""
        self._write(f"event({written(one.event)})")
        if _is_there(one.where):
            self._write(".where(")
            self.condition(one.where, _inside(path, "w"), level + 1)
            self._write(")")
        self._write(_window_text(one.window, _PARENT if level else ""))
        self._write(_measure_text(one))

    def _joined(self, join: str, parts: tuple[Part, ...], path: str, level: int) -> None:
        there = [(at, part) for at, part in enumerate(parts) if _is_there(part)]
        for n, (at, part) in enumerate(there):
            if n:
                self._write(_JOINTS[join])
            brackets = len(there) > 1 and _shape(part) in _WEAKER[join]
            with self._around(brackets, "(", ")"):
                self.condition(part, _inside(path, str(at)), level)

    def _check(self, check: Check, path: str, level: int) -> None:
        if isinstance(check.left, Happening):
            self.happening(check.left, path, level)
        else:
            self._write(_attribute_text(check.left))
        sign = COMPARISONS.get(check.test)
        if sign is not None:
            self._write(f" {sign} {_values_text(check.values)}")
        elif check.span is not None:
            self._write(f".{check.test}({_span_text(check.span)})")
        elif check.test in _WITHOUT_VALUE:
            self._write(f".{check.test}()")
        else:
            self._write(f".{check.test}({_values_text(check.values)})")

    def _write(self, piece: str) -> None:
        self.pieces.append(piece)
        self._length += len(piece)

    @contextmanager
    def _around(self, is_wanted: bool, before: str, after: str) -> Iterator[None]:
        if is_wanted:
            self._write(before)
        yield
        if is_wanted:
            self._write(after)

    @contextmanager
    def _stretch(self, path: str) -> Iterator[None]:
        begin, place = self._length, len(self.stretches)
        yield
        self.stretches.insert(place, Stretch(path, begin, self._length))


def _inside(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _is_there(part: Part) -> bool:
    """Whether there is anything to write."""
    if isinstance(part, Group):
        return any(map(_is_there, part.parts))
    return not isinstance(part, Written) or bool(part.text.strip())


def _shape(part: Part) -> str:
    """How the text of a condition is joined: all, any, or "" when it holds together by itself."""
    if part.negated:
        return ""
    if isinstance(part, Group):
        there = [one for one in part.parts if _is_there(one)]
        return _shape(there[0]) if len(there) == 1 else part.join
    return _shape_of_text(part.text) if isinstance(part, Written) else ""


def _shape_of_text(text: str) -> str:
    """A text that cannot be read gets brackets, which keep it together."""
    try:
        form = syntax_of(text)
    except DefinitionError:
        return "any"
    return "" if isinstance(form, str) else _SHAPES.get(str(form.data), "")


def _attribute_text(one: Attribute) -> str:
    if one.of == "parent":
        return f"property({_PARENT}{written(one.path)})"
    return f"{one.of}({written(one.path)})"


def _values_text(values: tuple[Value, ...]) -> str:
    return ", ".join(map(_value_text, values)) or HOLE


def _value_text(value: Value) -> str:
    match value.as_:
        case "text":
            return written(value.text)
        case "number" | "flag":
            return _word(value.text)
        case _:
            return _attribute_text(Attribute(value.as_, value.text))


def _measure_text(one: Happening) -> str:
    if one.measure == "count":
        return ".count()"
    of = _attribute_text(one.of) if one.of is not None else HOLE
    if one.measure == "unique_count":
        return f".unique({of}).count()"
    minimum = f", {_word(one.minimum)}" if one.measure == "mode" else ""
    return f".{one.measure}({of}{minimum})"


def _window_text(window: Window, parent: str) -> str:
    if window.reach == "any":
        return ""
    spans = ", ".join(map(_span_text, window.spans))
    if window.reach == "session":
        return f".expires_after({spans})"
    return f".{window.reach}({parent}{spans})"


def _span_text(span: Span) -> str:
    """A single one in the singular."""
    unit = span.unit.removesuffix("s") if span.number == "1" else span.unit
    return f"{_word(span.number)} {_word(unit)}"


def _word(typed: str) -> str:
    """A number, true or a unit; anything else stays such that it is refused in its place."""
    typed = typed.strip() or HOLE
    return typed if _WORD.fullmatch(typed) else written(typed)
