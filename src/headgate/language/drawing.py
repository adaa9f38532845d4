"""A definition drawn: nested conditions with a place for each thing that a person chooses, as a builder shows them.

    text → tree → drawing (`drawing_of`) → text (`drawing_text.written_drawing`)

A drawing may be unfinished, with nothing chosen here and there; its text is refused then, at that place.
What cannot be drawn stands in it as text. The names of tests are those of the language's functions.
"""

from collections.abc import Collection
from typing import Literal

import msgspec

from headgate.language.durations import duration_text
from headgate.language.functions import COMPARISONS
from headgate.language.printer import literal_text, text_of
from headgate.language.tree import (
    And,
    Between,
    Compared,
    Condition,
    Context,
    DateTested,
    Events,
    Exists,
    Json,
    Literal_,
    NearNowTested,
    Not,
    OneOf,
    Or,
    Property,
    Reduced,
    Reducer,
    Scalar,
    Session,
    TextTested,
    Trait,
    Within,
)
from headgate.language.tree import Window as TreeWindow

Measure = Literal[
    "count", "sum", "avg", "min", "max", "mode", "first", "last", "unique", "unique_count"
]
Join = Literal["all", "any"]

_TEST_OF_SIGN = {sign: name for name, sign in COMPARISONS.items()}
_USUAL_MINIMUM = 2  # of `mode`


class Span(msgspec.Struct, frozen=True):
    """A duration as it is typed: a number and a unit."""

    number: str
    unit: str


class Value(msgspec.Struct, frozen=True, rename={"as_": "as"}):
    """What something is compared with: a value written down, or a trait or property by its path.

    `parent` is a property of the event that this one follows.
    """

    as_: Literal["text", "number", "flag", "trait", "property", "parent"]
    text: str


class Attribute(msgspec.Struct, frozen=True, tag_field="kind", tag="attribute"):
    """Something that a user or an event has."""

    of: Literal["trait", "property", "parent", "context"]
    path: str


class Window(msgspec.Struct, frozen=True):
    """Which events count by their age: one span, two of a `between`, none of any age."""

    reach: Literal["any", "within", "between", "session"] = "any"
    spans: tuple[Span, ...] = ()


class Happening(msgspec.Struct, frozen=True, tag_field="kind", tag="event", rename="camel"):
    """Events made into one value. `of` is what is measured, None of `count`; `minimum` is of `mode`."""

    event: str
    where: "Group"
    window: Window
    measure: Measure = "count"
    of: Attribute | None = None
    minimum: str = str(_USUAL_MINIMUM)


class Check(msgspec.Struct, frozen=True, tag_field="kind", tag="check"):
    """A comparison; `test` is a function of the language. `span` is for tests of dates against now."""

    left: Attribute | Happening
    test: str
    values: tuple[Value, ...] = ()
    span: Span | None = None
    negated: bool = False


class Member(msgspec.Struct, frozen=True, tag_field="kind", tag="member"):
    """Whether the user is in an audience, by its key."""

    key: str
    negated: bool = False


class Written(msgspec.Struct, frozen=True, tag_field="kind", tag="text"):
    """A condition that stays text."""

    text: str
    negated: bool = False


class Group(msgspec.Struct, frozen=True, tag_field="kind", tag="group"):
    """Conditions of which all, or any, have to be true; one without parts is not there."""

    join: Join
    parts: "tuple[Part, ...]" = ()
    negated: bool = False


Part = Check | Member | Written | Group


class _CannotBeDrawn(Exception):
    """The construct has no place in a drawing."""


def drawing_of(tree: Condition, audiences: Collection[str]) -> Group:
    """The drawing of an audience's definition; `audiences` are the keys that membership is asked of."""
    return _group(tree, audiences)


def happening_of(tree: Reduced, audiences: Collection[str]) -> Happening | Written:
    """The drawing of a computed trait's definition."""
    try:
        return _happening(tree, audiences)
    except _CannotBeDrawn:
        return Written(text_of(tree))


def _group(tree: Condition, audiences: Collection[str]) -> Group:
    """A condition as a group, which may be one of its own only."""
    part = _part(tree, audiences)
    return part if isinstance(part, Group) and not part.negated else Group("all", (part,))


def _part(tree: Condition, audiences: Collection[str]) -> Part:
    match tree:
        case And(parts):
            return Group("all", tuple(_part(one, audiences) for one in parts))
        case Or(parts):
            return Group("any", tuple(_part(one, audiences) for one in parts))
        case Not(inner):
            part = _part(inner, audiences)
            if part.negated:
                return Group("all", (part,), negated=True)
            return msgspec.structs.replace(part, negated=True)
        case Compared(Trait(key), "=", Literal_(True)) if key in audiences and _is_true(tree):
            return Member(key)
        case _:
            try:
                return _check(tree, audiences)
            except _CannotBeDrawn:
                return Written(text_of(tree))


def _is_true(tree: Compared) -> bool:
    """Against `true` itself: to Python, 1 is the same."""
    return isinstance(tree.right, Literal_) and tree.right.value is True


def _check(
    tree: Compared | TextTested | OneOf | Exists | DateTested | NearNowTested,
    audiences: Collection[str],
) -> Check:
    left = _left(tree.left, audiences)
    match tree:
        case Compared(_, comparison, right):
            return Check(left, _TEST_OF_SIGN[comparison], (_right(right),))
        case TextTested(_, test, texts):
            return Check(left, test, tuple(map(_value, texts)))
        case OneOf(_, values, negated):
            return Check(left, "none_of" if negated else "one_of", tuple(map(_value, values)))
        case Exists(_, negated):
            return Check(left, "absent" if negated else "exists")
        case DateTested(_, test, instant):
            return Check(left, test, (_value(instant),))
        case NearNowTested(_, test, span_ms):
            return Check(left, test, span=_span(span_ms))


def _left(scalar: Scalar, audiences: Collection[str]) -> Attribute | Happening:
    if isinstance(scalar, Reduced):
        return _happening(scalar, audiences)
    return _attribute(scalar)


def _attribute(scalar: Scalar) -> Attribute:
    match scalar:
        case Trait(path):
            return Attribute("trait", path)
        case Property(path, of_parent):
            return Attribute("parent" if of_parent else "property", path)
        case Context(path):
            return Attribute("context", path)
        case _:
            raise _CannotBeDrawn


def _right(scalar: Scalar) -> Value:
    match scalar:
        case Literal_(value):
            return _value(value)
        case Trait(path):
            return Value("trait", path)
        case Property(path, of_parent):
            return Value("parent" if of_parent else "property", path)
        case _:
            raise _CannotBeDrawn


def _value(value: Json) -> Value:
    if isinstance(value, str):
        return Value("text", value)
    return Value("flag" if isinstance(value, bool) else "number", literal_text(value))


def _happening(reduced: Reduced, audiences: Collection[str]) -> Happening:
    events = reduced.events
    if events.not_from or reduced.read_as:
        raise _CannotBeDrawn
    return Happening(
        event=events.name,
        where=_where(events, audiences),
        window=_window(events.window),
        measure=_measure(reduced.reducer, counted=reduced.counted),
        of=None if reduced.of is None else _attribute(reduced.of),
        minimum=str(reduced.minimum),
    )


def _measure(reducer: Reducer, *, counted: bool) -> Measure:
    return "unique_count" if counted else reducer


def _where(events: Events, audiences: Collection[str]) -> Group:
    return Group("all") if events.where is None else _group(events.where, audiences)


def _window(window: TreeWindow | None) -> Window:
    match window:
        case None:
            return Window()
        case Within(span_ms):
            return Window("within", (_span(span_ms),))
        case Between(from_ms, to_ms):
            return Window("between", (_span(from_ms), _span(to_ms)))
        case Session(gap_ms):
            return Window("session", (_span(gap_ms),))


def _span(span_ms: int) -> Span:
    """In the plural, as a list of units shows them."""
    number, unit = duration_text(span_ms).split()
    return Span(number, unit if unit.endswith("s") else f"{unit}s")
