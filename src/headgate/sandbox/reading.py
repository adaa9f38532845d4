"""Reading a field of a request by Heap's documented types and lengths. Pure.

Limits of single values: https://developers.heap.io/reference/track-1 (keys and values of fewer than
1,024 characters, arrays of events joined and cut) and .../add-user-properties. What the documentation
leaves open is decided here and noticed under one of these words, which a journal entry shows as
`undocumented`; `strict` refuses it instead:

    boolean-value         kept
    null-value            dropped
    object-value          dropped
    array-user-property   dropped (arrays are documented for events only)
    array-of-non-scalars  an event's array holds something other than strings and numbers
    forbidden-key         a user property named id or user_id, in any casing: dropped
    epoch-timestamp       milliseconds since 1970, accepted
    null-field            a field that is null counts as missing
    unknown-field         a field Heap's page does not name, ignored
    numeric-app-id        for accounts the documentation names a number and shows a string

What it forbids is refused, and only `lenient` lets it pass: value-1024-chars, key-1024-chars,
long-FIELD, numeric-FIELD, FIELD-type.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from headgate.sandbox.options import Options

TOO_LONG_CHARS = 1_024  # keys and values have fewer
MAX_USER_ID = 2**53 - 1
ARRAY_SEPARATOR = "||"
FOUND_CHARS = 60
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SCALARS = (str, int, float)


class Invalid(Exception):
    """A rule was broken; the text says where and how. Never leaves `rules.judge`."""


def broken(place: str, expected: str, found: object) -> Invalid:
    """The refusal of what was found at a place."""
    shown = repr(found)
    if len(shown) > FOUND_CHARS:
        shown = shown[:FOUND_CHARS] + "..."
    return Invalid(f"{place}: expected {expected}, found {shown}")


class Reading:
    """One request being read: the profile, and what was noticed on the way."""

    def __init__(self, options: Options) -> None:
        self.strict = options.profile == "strict"
        self.lenient = options.profile == "lenient"
        self.atomic = options.bulk == "atomic"
        self.skipped = 0
        self.noticed: set[str] = set()

    def notice(self, word: str, place: str, expected: str, found: object) -> None:
        """Something the documentation leaves open: refused in `strict`, flagged elsewhere."""
        if self.strict:
            raise broken(place, expected, found)
        self.noticed.add(word)

    def forgive(self, word: str, place: str, expected: str, found: object) -> None:
        """Something the documentation forbids: flagged in `lenient`, refused elsewhere."""
        if not self.lenient:
            raise broken(place, expected, found)
        self.noticed.add(word)


def user_id(found: object, reading: Reading) -> str:
    """Heap's own number of a user, which travels as text."""
    digits = found
    if type(found) is int:
        reading.forgive("numeric-user_id", "user_id", "a string of digits", found)
        digits = str(found)
    if (
        type(digits) is not str
        or not is_digits(digits)
        or len(digits) > 16
        or int(digits) > MAX_USER_ID
    ):
        raise broken("user_id", f"a string of digits, at most {MAX_USER_ID}", found)
    return digits


def text(found: object, place: str, longest: int, reading: Reading) -> str:
    """A required string that is not empty."""
    if type(found) is str and 0 < len(found) <= longest:
        return found
    expected = f"a string of 1 to {longest} characters"
    if type(found) is int or type(found) is float:
        reading.forgive(f"numeric-{place}", place, expected, found)
        return str(found)
    if type(found) is not str or not found:
        raise broken(place, expected, found)
    reading.forgive(f"long-{place}", place, expected, found)
    return found


def optional_text(row: dict[str, Any], field: str, reading: Reading) -> str | None:
    """A string, or None when the field is missing or null."""
    found = row.get(field)
    if type(found) is str:
        return found
    if found is None:
        return None
    reading.forgive(f"{field}-type", field, "a string", found)
    return str(found)


def timestamp(found: object, reading: Reading) -> str | None:
    """The time as it will be stored, None when there is none."""
    if found is None:
        return None
    expected = "an ISO 8601 time"
    try:
        if type(found) is str:
            datetime.fromisoformat(found)
            return found
        if type(found) is int or type(found) is float:
            moment = EPOCH + timedelta(milliseconds=found)
            reading.notice("epoch-timestamp", "timestamp", expected, found)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        pass
    raise broken("timestamp", expected, found)


def check_fields(row: dict[str, Any], known: frozenset[str], reading: Reading) -> None:
    """Notice fields nobody documents, and null in those somebody does."""
    if row.keys() <= known and None not in row.values():
        return
    for field, value in row.items():
        if field not in known:
            reading.notice("unknown-field", field, "a documented field", value)
        elif value is None:
            reading.notice("null-field", field, "a value", value)


def properties(found: object, place: str, reading: Reading, *, of_user: bool) -> dict[str, Any]:
    """What is stored of these properties: the same object when there is nothing to change."""
    if found is None:
        return {}
    if type(found) is not dict:
        raise broken(place, "an object", found)
    changed: dict[str, Any] = {}
    dropped: list[str] = []
    for key, value in found.items():
        kind = type(value)
        if len(key) >= TOO_LONG_CHARS or (kind is str and len(value) >= TOO_LONG_CHARS):
            _too_long(key, value, place, reading)
        if of_user and key.lower() in ("id", "user_id"):
            reading.notice("forbidden-key", f"{place}.{key}", "another name", key)
            dropped.append(key)
        elif kind not in _SCALARS:
            kept = _odd_value(value, f"{place}.{key}", reading, of_user=of_user)
            if kept is None:
                dropped.append(key)
            elif kept is not value:
                changed[key] = kept
    if not changed and not dropped:
        return found
    return {k: changed.get(k, v) for k, v in found.items() if k not in dropped}


def _too_long(key: str, value: object, place: str, reading: Reading) -> None:
    expected = f"fewer than {TOO_LONG_CHARS} characters"
    if len(key) >= TOO_LONG_CHARS:
        reading.forgive("key-1024-chars", place, f"keys of {expected}", key)
    else:
        reading.forgive("value-1024-chars", f"{place}.{key}", expected, value)


def _odd_value(value: object, place: str, reading: Reading, *, of_user: bool) -> Any:
    """What is stored of a value that is neither string nor number; None when it is dropped."""
    expected = "a string or a number"
    if isinstance(value, bool):
        reading.notice("boolean-value", place, expected, value)
        return value
    if isinstance(value, list) and not of_user:
        return _joined(value, place, reading)
    kind = "array-user-property" if isinstance(value, list) else "object-value"
    reading.notice("null-value" if value is None else kind, place, expected, value)
    return None


def _joined(values: list[Any], place: str, reading: Reading) -> str:
    """An event's array as Heap stores it: joined and cut, as documented."""
    if any(type(value) not in _SCALARS for value in values):
        expected = "an array of strings and numbers"
        reading.notice("array-of-non-scalars", place, expected, values)
    texts = (v if isinstance(v, str) else msgspec.json.encode(v).decode() for v in values)
    return ARRAY_SEPARATOR.join(texts)[:TOO_LONG_CHARS]


def is_digits(text: str) -> bool:
    """Whether the text is made of ASCII digits only."""
    return text.isascii() and text.isdigit()
