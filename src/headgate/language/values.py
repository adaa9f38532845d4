"""How values compare: what each comparison of the language says of two JSON values.

Pure functions behind every evaluation of a definition; docs/query-language.md shows them as a table. A
missing value is null (None). Every answer is true or false, never unknown: `NOT` turns it round. The
rules for missing values are Segment's, where `differs` is false and `omits` is true:
https://segment.com/docs/api/public-api/query-language/#comparisons
"""

import json
from collections.abc import Callable, Sequence
from operator import ge, gt, le, lt
from typing import Any

from headgate.language.tree import Comparison, DateTest, Json, NearNow, TextTest
from headgate.spec.message import id_text
from headgate.spec.timestamps import parse_ms

_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_PLAIN_BELOW = 10**21  # from here on JavaScript writes whole numbers with an exponent
_ISO_DASH = (
    4  # where every ISO date, and no other form of a moment that we read, has its first dash
)


def scalar_text(value: object) -> str | None:
    """A JSON scalar as text, numbers as JavaScript writes them: `true`, `5` for 5.0 too, `1e+21`.

    None for null, an array, an object.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number_text(value) if isinstance(value, int | float) else None


def searched_text(value: object) -> str | None:
    """What text tests look at: a scalar's text, an array or object as compact JSON. None for null."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return scalar_text(value)


def compare(left: object, comparison: Comparison, right: object) -> bool:
    """Equality of scalars by their text; order of numbers, and of nothing else.

    False when either side is null, for `!=` too. An array or object equals nothing.
    """
    if left is None or right is None:
        return False
    if comparison in ("=", "!="):
        text = scalar_text(left)
        equal = text is not None and text == scalar_text(right)
        return equal is (comparison == "=")
    return is_number(left) and is_number(right) and _ORDERINGS[comparison](left, right)


def text_test(value: object, test: TextTest, texts: Sequence[str]) -> bool:
    """Whether the value's text contains, starts or ends with one of `texts`, case and all.

    `omits` is the opposite of `contains`, so true for null.
    """
    text = searched_text(value)
    if test == "omits":
        return text is None or not any(part in text for part in texts)
    if text is None:
        return False
    if test == "contains":
        return any(part in text for part in texts)
    return text.startswith(tuple(texts)) if test == "starts_with" else text.endswith(tuple(texts))


def one_of(value: object, values: Sequence[Json]) -> bool:
    """Whether the value equals one of `values`; `none_of` is the opposite, so true for null."""
    return any(compare(value, "=", other) for other in values)


def date_ms(value: object) -> int | None:
    """An ISO 8601 instant as Unix milliseconds; None for anything else, Unix numbers included.

    A date alone is its midnight; without a zone it is UTC. Finer than a millisecond is cut off.
    """
    if isinstance(value, str) and value[_ISO_DASH : _ISO_DASH + 1] == "-":
        return parse_ms(value)
    return None


def date_test(value: object, test: DateTest, instant_ms: int) -> bool:
    """Whether the value is an instant before or after another; equality is neither."""
    ms = date_ms(value)
    if ms is None:
        return False
    return ms < instant_ms if test == "before_date" else ms > instant_ms


def near_now(value: object, test: NearNow, span_ms: int, now_ms: int) -> bool:
    """Whether the value is an instant within, or beyond, `span_ms` from now; both ends count."""
    ms = date_ms(value)
    if ms is None:
        return False
    if test == "within_last":
        return now_ms - span_ms <= ms <= now_ms
    if test == "within_next":
        return now_ms <= ms <= now_ms + span_ms
    return ms <= now_ms - span_ms if test == "before_last" else ms >= now_ms + span_ms


def is_number(value: object) -> bool:
    """A JSON number: neither true nor a text of digits."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_text(number: int | float) -> str:
    """Whole numbers keep all their digits up to where JavaScript gives them an exponent."""
    if isinstance(number, int) and -_PLAIN_BELOW < number < _PLAIN_BELOW:
        return str(number)
    try:
        return id_text(float(number)) or str(number)
    except OverflowError:  # too large for a float; JSON may still write it
        return "Infinity" if number > 0 else "-Infinity"
