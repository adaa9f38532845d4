"""What has been seen: the names of events and their properties, for suggestions to whoever writes a definition."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from headgate.engage.history.duck import quoted
from headgate.engage.history.view import View

_MOST_NAMES = 500
_MOST_FIELDS = 200
_LOOKED_AT = 200  # messages of each name
_NEWEST = 200_000  # messages among which they are looked for first
_DEEPEST = 4

_decode = msgspec.json.decode

_TYPES = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "list",
    type(None): "null",
}


class Field(msgspec.Struct, frozen=True):
    """A property or trait: its path, in how many of the messages looked at, as values of which types."""

    path: str
    messages: int
    types: dict[str, int]


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """Events of one name: how many, when the last one happened, and the fields of some of the newest."""

    name: str
    messages: int
    last_at_ms: int
    properties: list[Field]


class Seen(msgspec.Struct, frozen=True):
    """All events, the most frequent first; and the fields of some of the newest identifies."""

    events: list[Event]
    traits: list[Field]


def seen(view: View) -> Seen:
    """Looks at all messages by name, and at some of each name more closely."""
    names = view.rows(
        "SELECT name, count(*) AS n, max(at_ms) FROM event WHERE name <> ''"
        f" GROUP BY name ORDER BY n DESC, name LIMIT {_MOST_NAMES}"
    )
    recent = f"seq > {view.position.seq - _NEWEST}"
    newest = _newest(view, "properties", f"name <> '' AND {recent}")
    rare = [quoted(name) for name, _, _ in names if name not in newest]
    if rare:
        newest |= _newest(view, "properties", f"name IN ({', '.join(rare)})")
    traits = _newest(view, "traits", f"name = '' AND traits <> '{{}}' AND {recent}")
    return Seen(
        [Event(name, n, last_ms, _fields(newest.get(name, []))) for name, n, last_ms in names],
        _fields(traits.get("", [])),
    )


def _newest(view: View, column: str, condition: str) -> dict[str, list[str]]:
    """The objects of the newest messages of each name."""
    return dict(
        view.rows(
            f"SELECT name, max_by({column}, seq, {_LOOKED_AT}) FROM event"
            f" WHERE {condition} GROUP BY name"
        )
    )


def _fields(objects: list[str]) -> list[Field]:
    """The fields of some objects, the most frequent first."""
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for text in objects:
        for path, value in _leaves(_decode(text), ""):
            types[path][_TYPES[type(value)]] += 1
    fields = [Field(path, counts.total(), dict(counts)) for path, counts in types.items()]
    return sorted(fields, key=lambda one: (-one.messages, one.path))[:_MOST_FIELDS]


def _leaves(holder: dict[str, Any], path: str, depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Everything that is no object, with its path as definitions write it."""
    for name, value in holder.items():
        at = path + name.replace("\\", "\\\\").replace(".", "\\.")
        if not isinstance(value, dict):
            yield at, value
        elif depth < _DEEPEST:
            yield from _leaves(value, f"{at}.", depth + 1)
