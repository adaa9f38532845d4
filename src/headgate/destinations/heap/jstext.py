"""Values as JavaScript writes them: the text of a number, the order of keys, the text of an array.

Segment's classic Heap destination is JavaScript, and the texts it has been sending are compared
with and filtered on at Heap. Everything here walks with a stack of its own: a value may be nested
deeper than Python recurses.
"""

import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

Entries = Iterable[tuple[str, Any]]

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_MAX_ARRAY_INDEX = 2**32 - 2
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def number_text(value: float) -> str:
    """The number as JavaScript writes it: 5, 0.1, 1e+21, 1e-7; `null` when it is none, as in JSON.

    Rules: https://tc39.es/ecma262/#sec-numeric-types-number-tostring
    """
    value = as_double(value)
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    parts = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, parts.digits))
    point = len(digits) + int(parts.exponent)  # how many digits stand before the decimal point
    return ("-" if parts.sign else "") + _positional(digits, point)


def _positional(digits: str, point: int) -> str:
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{point - 1:+d}"


def as_double(value: float) -> float:
    """The number as JavaScript holds it, infinite when it is too large for that."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def entries_in_js_order(members: dict[str, Any]) -> Entries:
    """The members as JavaScript enumerates them: keys that are array indexes first, ascending."""
    indexes = [key for key in members if _is_array_index(key)]
    if not indexes:
        return members.items()
    first = {key: members[key] for key in sorted(indexes, key=int)}
    return (first | members).items()


def _is_array_index(key: str) -> bool:
    return _ARRAY_INDEX.fullmatch(key) is not None and int(key) <= _MAX_ARRAY_INDEX


def well_formed(text: str) -> str:
    """The text with U+FFFD for every half of a surrogate pair, which UTF-8 cannot carry."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub("\ufffd", text)
    return text


def json_text(
    value: Any,
    *,
    entries: Callable[[dict[str, Any]], Entries] = entries_in_js_order,
    number: Callable[[float], str] = number_text,
) -> str:
    """Compact JSON as `JSON.stringify` writes it, however deep the value is nested."""
    written: list[str] = []
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        kind = type(item)
        if kind is _Token:
            written.append(item)
        elif kind is str:
            written.append(_quoted(item))
        elif kind is list:
            pending += reversed(_list_parts(item))
        elif kind is dict:
            pending += reversed(_dict_parts(entries(item)))
        elif kind is int or kind is float:
            written.append(number(item))
        else:
            written.append(_LITERALS.get(item, "null"))
    return "".join(written)


class _Token(str):
    """Text that is JSON already."""

    __slots__ = ()


_OPEN_LIST, _CLOSE_LIST = _Token("["), _Token("]")
_OPEN_DICT, _CLOSE_DICT = _Token("{"), _Token("}")
_COMMA, _COLON = _Token(","), _Token(":")
_LITERALS = {True: "true", False: "false"}


def _list_parts(items: list[Any]) -> list[Any]:
    parts: list[Any] = [_OPEN_LIST]
    for item in items:
        parts += (item, _COMMA)
    return [*parts[: max(1, len(parts) - 1)], _CLOSE_LIST]


def _dict_parts(entries: Entries) -> list[Any]:
    parts: list[Any] = [_OPEN_DICT]
    for key, item in entries:
        parts += (key, _COLON, item, _COMMA)
    return [*parts[: max(1, len(parts) - 1)], _CLOSE_DICT]


def _quoted(text: str) -> str:
    return msgspec.json.encode(well_formed(text)).decode()
