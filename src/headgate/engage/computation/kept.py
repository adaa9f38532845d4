"""What is kept of a message's values: bounded in size, and such that the profile's record can hold it."""

from math import isfinite
from typing import Any

import msgspec

from headgate.language import values

MOST_KEPT = 10_000  # entries of a leaf, values of a list: Segment's cap for a trait's properties
LONGEST_TEXT = 1_023  # characters; more of a value would not reach Heap
_LARGEST_BYTES = 4_096  # of a list or an object
_MOST_SUMMED = 1e300  # beyond it, sums could leave what a float can say
_INTEGERS = range(-(1 << 63), 1 << 63)

Value = Any


def kept(value: Value) -> Value:
    """The value as leaves keep it: text cut at 1,023 characters, null for lists and objects over 4 KiB."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT]
    if kind is list or kind is dict:
        value = storable(value)
        return value if len(msgspec.msgpack.encode(value)) <= _LARGEST_BYTES else None
    return storable(value)


def storable(value: Value) -> Value:
    """The value with integers of more than 64 bits as floats, or null beyond those."""
    kind = type(value)
    if kind is int:
        return value if value in _INTEGERS else _as_float(value)
    if kind is list:
        return [storable(one) for one in value]
    if kind is dict:
        return {key: storable(one) for key, one in value.items()}
    return value


def number(value: Value) -> Value:
    """A JSON number that can be added up; None for anything else, numeric texts included."""
    kind = type(value)
    if kind is int:
        return value if value in _INTEGERS else None
    if kind is float and isfinite(value) and abs(value) < _MOST_SUMMED:
        return value
    return None


def scalar_text(value: Value) -> str | None:
    """A JSON scalar as its text; None for null, lists and objects."""
    text = values.scalar_text(value)
    return None if text is None else text[:LONGEST_TEXT]


def json_text(value: Value) -> str:
    """A kept value as JSON, so that `5` and `'5'` stay apart; 5.0 is 5."""
    if type(value) in (int, float):
        return values.scalar_text(value) or "null"
    return msgspec.json.encode(value).decode()


def _as_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
