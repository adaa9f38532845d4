"""Values against values: equality by text, ordering by number, ISO instants, and the table of nulls.

Every comparison answers true or false; nothing is unknown. A missing value and null are the same, None.
"""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from headgate.language.tree import Comparison, NearNow, TextTest

ISO_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_number(value: Any) -> bool:
    """A JSON number; neither a boolean nor a text of digits."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def scalar_text(value: Any) -> str | None:
    """A JSON scalar as text: `true`, `5` for 5 and 5.0, 1e+21. None for null, arrays and objects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return str(value) if isinstance(value, str | int) else None


def _float_text(value: float) -> str:
    """As JavaScript writes it: plain from 1e-6 up to 1e21, with an exponent outside."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        plain = f"{Decimal(repr(value)):f}"
        return "0" if value == 0 else plain.rstrip("0").rstrip(".") if "." in plain else plain
    return repr(value).replace("e-0", "e-")


def compared(left: Any, comparison: Comparison, right: Any) -> bool:
    """Equality of scalars by their text, ordering of numbers only.

    `=` and the orderings are false for a missing value. `!=` is true only when a value exists and
    differs; an array or object exists and differs from every scalar.
    """
    if left is None or right is None:
        return False
    if comparison in ("=", "!="):
        equal = scalar_text(left) is not None and scalar_text(left) == scalar_text(right)
        return equal == (comparison == "=")
    if not (is_number(left) and is_number(right)):
        return False
    orderings = {
        ">": left > right,
        ">=": left >= right,
        "<": left < right,
        "<=": left <= right,
    }
    return bool(orderings[comparison])


def text_tested(left: Any, test: TextTest, texts: tuple[str, ...]) -> bool:
    """What contains, starts or ends with one of `texts`; `omits` is the opposite of `contains`.

    A number or flag is looked at as its text, an array or object as its compact JSON.
    """
    if test == "omits":
        return not text_tested(left, "contains", texts)
    if isinstance(left, list | dict):
        left = json.dumps(left, ensure_ascii=False, separators=(",", ":"))
    left = scalar_text(left)
    if left is None:
        return False
    if test == "contains":
        return any(text in left for text in texts)
    if test == "starts_with":
        return any(left.startswith(text) for text in texts)
    return any(left.endswith(text) for text in texts)


def one_of(left: Any, values: tuple[Any, ...], negated: bool) -> bool:
    """Equal to one of the values; `none_of` is the opposite, so that it holds for a missing value."""
    return any(compared(left, "=", value) for value in values) != negated


def instant_ms(value: Any) -> int | None:
    """An ISO 8601 text as Unix milliseconds; UTC without a zone, midnight without a time."""
    if not isinstance(value, str) or not ISO_INSTANT.fullmatch(value):
        return None
    fraction = re.search(r"\.\d+", value)
    if fraction:  # whatever is finer than a microsecond is none of datetime's business
        value = value.replace(fraction.group(), fraction.group()[:7].ljust(7, "0"))
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000 + delta.microseconds // 1_000


def date_tested(left: Any, test: str, instant: str) -> bool:
    """Before or after an instant, equality excluded; false for what is no instant."""
    mine, other = instant_ms(left), instant_ms(instant)
    if mine is None or other is None:
        return False
    return mine < other if test == "before_date" else mine > other


def near_now(left: Any, test: NearNow, span_ms: int, at_ms: int) -> bool:
    """An instant against now, both ends included; false for what is no instant."""
    mine = instant_ms(left)
    if mine is None:
        return False
    if test == "within_last":
        return at_ms - span_ms <= mine <= at_ms
    if test == "within_next":
        return at_ms <= mine <= at_ms + span_ms
    return mine <= at_ms - span_ms if test == "before_last" else mine >= at_ms + span_ms


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are one value: `5` is 5.0, but neither `"5"` nor true."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and bool(left == right)
