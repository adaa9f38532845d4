"""Comparisons with a constant, prepared: the rules of `language/values.py`, quick for the usual types."""

from collections.abc import Callable
from math import ceil, floor
from operator import ge, gt, le, lt
from typing import Any

from headgate.engage.computation.moment import FOREVER
from headgate.language import values
from headgate.language.tree import (
    Comparison,
    DateTested,
    Exists,
    Json,
    NearNow,
    OneOf,
    TextTested,
)

Test = Callable[[Any], bool]

_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_NUMBERS = (int, float)
_USUAL = 10**15  # below it, numbers are equal exactly when their texts are
_MOST_COUNTED = 10**9


def test_of(tree: TextTested | OneOf | Exists | DateTested) -> Test:
    """What a condition without a right side says of its left side's value."""
    match tree:
        case TextTested():
            return lambda value: values.text_test(value, tree.test, tree.texts)
        case OneOf(_, among, negated):
            texts_ = frozenset(map(values.scalar_text, among)) - {None}
            return lambda value: (values.scalar_text(value) in texts_) is not negated
        case Exists(_, negated):
            return lambda value: (value is None) is negated
        case DateTested(_, test, instant):
            instant_ms = values.date_ms(instant)
            if instant_ms is None:
                raise ValueError(f"not an ISO instant: {instant}")
            return lambda value: values.date_test(value, test, instant_ms)


def compared_with(comparison: Comparison, literal: Json) -> Test:
    """What a comparison with a constant says of its left side's value."""
    if comparison in ("=", "!="):
        return _equality(comparison, literal)
    if not values.is_number(literal):
        return lambda value: False
    ordering = _ORDERINGS[comparison]
    return lambda value: type(value) in _NUMBERS and ordering(value, literal)


def _equality(comparison: Comparison, literal: Json) -> Test:
    text = values.scalar_text(literal)
    if text is None:
        return lambda value: False
    equals = _equal_to(literal, text)
    if comparison == "=":
        return equals
    return lambda value: value is not None and not equals(value)


def _equal_to(literal: Json, text: str) -> Test:
    """Equality by text, which among values of one type, and of numbers of usual size, needs no text."""
    alike: tuple[type, ...] = (type(literal),)
    if values.is_number(literal):
        alike = _NUMBERS if abs(literal) < _USUAL else ()  # type: ignore[arg-type]
    return lambda value: (
        value == literal if type(value) in alike else values.scalar_text(value) == text
    )


def near_now(test: NearNow, span_ms: int, date_ms: int) -> tuple[int, int]:
    """The first and the last instant at which a date passes a test against now, both included."""
    match test:
        case "within_last":
            return date_ms, date_ms + span_ms
        case "within_next":
            return date_ms - span_ms, date_ms
        case "before_last":
            return date_ms + span_ms, FOREVER
        case "after_next":
            return -FOREVER, date_ms - span_ms


def settled_from(comparison: Comparison, literal: Json) -> int:
    """The number of events from which on every number compares alike; FOREVER when none is known."""
    if not values.is_number(literal) or abs(literal) > _MOST_COUNTED:  # type: ignore[arg-type]
        return FOREVER
    exact = ceil(literal) if comparison in (">=", "<") else floor(literal) + 1  # type: ignore[arg-type]
    return max(1, exact)
