"""A tree as text again: one way to write each definition, whatever way it was written in.

Reading the text gives the same tree. Two trees mean the same when their texts are equal; comparing the
trees themselves would take `1` for `true`.
"""

from typing import assert_never

from headgate.language.durations import duration_text
from headgate.language.texts import written
from headgate.language.tree import (
    And,
    Between,
    Compared,
    Condition,
    Context,
    DateTested,
    Definition,
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
    Scalar,
    Session,
    TextTested,
    Trait,
    Window,
    Within,
)

_PARENT = "parent: "


def text_of(tree: Definition | Events) -> str:
    """The definition, or a part of it, as text."""
    match tree:
        case And(parts):
            return " AND ".join(_grouped(part, And, Or) for part in parts)
        case Or(parts):
            return " OR ".join(_grouped(part, Or) for part in parts)
        case Not(part):
            return f"NOT ({text_of(part)})"
        case Compared(left, comparison, right):
            return f"{text_of(left)} {comparison} {text_of(right)}"
        case Events():
            return _events_text(tree)
        case Literal_() | Property() | Context() | Trait() | Reduced():
            return _scalar_text(tree)
        case _:
            return f"{text_of(tree.left)}.{_test_text(tree)}"


def literal_text(value: Json) -> str:
    """A value as definitions write it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return written(value) if isinstance(value, str) else repr(value)


def _grouped(part: Condition, *weaker: type) -> str:
    """A part of a junction, in brackets where its own words would not hold it together."""
    return f"({text_of(part)})" if isinstance(part, weaker) else text_of(part)


def _scalar_text(scalar: Scalar) -> str:
    match scalar:
        case Literal_(value):
            return literal_text(value)
        case Property(path, of_parent):
            return f"property({_PARENT if of_parent else ''}{written(path)})"
        case Context(path):
            return f"context({written(path)})"
        case Trait(path):
            return f"trait({written(path)})"
        case Reduced():
            return _reduced_text(scalar)
        case _:
            assert_never(scalar)


def _reduced_text(reduced: Reduced) -> str:
    of = text_of(reduced.of) if reduced.of is not None else ""
    if reduced.read_as:
        of += f" as {reduced.read_as}"
    if reduced.reducer == "mode":
        of += f", {reduced.minimum}"
    counted = ".count()" if reduced.counted else ""
    return f"{text_of(reduced.events)}.{reduced.reducer}({of}){counted}"


def _events_text(events: Events) -> str:
    text = f"event({written(events.name)})"
    if events.where is not None:
        text += f".where({text_of(events.where)})"
    if events.not_from:
        text += f".sources(exclude: [{_listed(events.not_from)}])"
    return text + _window_text(events.window) if events.window is not None else text


def _window_text(window: Window) -> str:
    match window:
        case Within(span_ms, of_parent):
            return f".within({_PARENT if of_parent else ''}{duration_text(span_ms)})"
        case Between(from_ms, to_ms, of_parent):
            ends = f"{duration_text(from_ms)}, {duration_text(to_ms)}"
            return f".between({_PARENT if of_parent else ''}{ends})"
        case Session(gap_ms):
            return f".expires_after({duration_text(gap_ms)})"
        case _:
            assert_never(window)


def _test_text(tested: TextTested | OneOf | Exists | DateTested | NearNowTested) -> str:
    match tested:
        case TextTested(_, test, texts):
            return f"{test}({_listed(texts)})"
        case OneOf(_, values, negated):
            return f"{'none_of' if negated else 'one_of'}({_listed(values)})"
        case Exists(_, negated):
            return "absent()" if negated else "exists()"
        case DateTested(_, test, instant):
            return f"{test}({written(instant)})"
        case NearNowTested(_, test, span_ms):
            return f"{test}({duration_text(span_ms)})"
        case _:
            assert_never(tested)


def _listed(values: tuple[Json, ...]) -> str:
    return ", ".join(map(literal_text, values))
