"""Nested properties as the flat ones Heap takes: `{"a": {"b": 1}}` becomes `{"a.b": 1}`.

Both mappings come through here and differ only in their `Dialect`. What holds for both:

- Objects are walked to any depth, with a stack of our own, since a message may nest deeper than
  Python recurses. Null, `{}`, NaN and infinities are dropped, with a note.
- Arrays become JSON text, whole. A text is cut to 1,023 characters and a longer name is dropped,
  since Heap takes "fewer than 1024": https://developers.heap.io/reference/track-1
- Where two paths make one name, the last in the order of the input wins.

Out come texts, numbers and booleans only, and every text and name is one that UTF-8 can carry.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headgate.destinations.heap.jstext import Entries, as_double, well_formed

Scalar = str | int | float | bool
Flat = dict[str, Scalar]

MAX_CHARACTERS = 1023  # of a property's name, and of its value when that is text

_MAX_EXACT = 2**53  # beyond it a double, and so most readers of JSON, skips whole numbers
_MIN_EXACT = -_MAX_EXACT
_MAX_SHOWN = 60  # characters of a name in a note


@dataclass(frozen=True, slots=True)
class Dialect:
    """In what the mappings differ.

    `entries` orders the members of an object, `prefix` makes an object's name the start of theirs,
    `large_integer` writes whole numbers beyond 2^53.
    """

    entries: Callable[[dict[str, Any]], Entries]
    prefix: Callable[[str], str]
    date: Callable[[str], str]
    array_text: Callable[[list[Any]], str]
    large_integer: Callable[[int], Scalar]


def flatten(properties: dict[str, Any], dialect: Dialect, notes: list[str]) -> Flat:
    """The properties without nesting; what had to be cut or dropped is added to `notes`."""
    flat: Flat = {}
    walk = [("", iter(dialect.entries(properties)))]
    while walk:
        prefix, entries = walk[-1]
        for key, value in entries:
            name = prefix + key
            kind = type(value)
            if kind is str:
                if "-" in value or not value.isascii() or len(value) > MAX_CHARACTERS:
                    value = property_text(name, value, dialect, notes)
                flat[name] = value
            elif (
                (kind is float or kind is int) and _MIN_EXACT <= value <= _MAX_EXACT
            ) or kind is bool:
                flat[name] = value
            elif kind is dict and value:
                inner = dialect.prefix(name)
                if len(inner) <= MAX_CHARACTERS:
                    walk.append((inner, iter(dialect.entries(value))))
                    break
                notes.append(_name_too_long(inner))
            else:
                _put_unusual(flat, name, value, dialect, notes)
        else:
            walk.pop()
    return _with_fitting_names(flat, notes)


def property_text(name: str, text: str, dialect: Dialect, notes: list[str]) -> str:
    """The text as Heap gets it: a date in UTC, U+FFFD for what UTF-8 cannot carry, and cut."""
    if text[4:5] == "-":
        text = dialect.date(text)
    return _cut(name, well_formed(text), notes)


def _cut(name: str, text: str, notes: list[str]) -> str:
    """The text as far as Heap takes it; a cut is noted under the property's name."""
    if len(text) <= MAX_CHARACTERS:
        return text
    notes.append(f"{shown(name)}: cut from {len(text):,} to {MAX_CHARACTERS:,} characters")
    return text[:MAX_CHARACTERS]


def shown(name: str) -> str:
    """The name as far as a note shows it."""
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}…"


def _put_unusual(flat: Flat, name: str, value: Any, dialect: Dialect, notes: list[str]) -> None:
    if type(value) is list:
        flat[name] = _cut(name, well_formed(dialect.array_text(value)), notes)
    elif value is None:
        notes.append(f"{shown(name)}: dropped, it is null")
    elif type(value) is dict:
        notes.append(f"{shown(name)}: dropped, it is an empty object")
    elif not math.isfinite(as_double(value)):
        notes.append(f"{shown(name)}: dropped, it is not a finite number")
    else:
        flat[name] = dialect.large_integer(value) if type(value) is int else value


def _with_fitting_names(flat: Flat, notes: list[str]) -> Flat:
    """Looks at all names at once first, because nearly always each of them fits."""
    names = "".join(flat)
    if len(names) <= MAX_CHARACTERS and names.isascii():
        return flat
    fitting: Flat = {}
    for name, value in flat.items():
        if len(name) <= MAX_CHARACTERS:
            fitting[well_formed(name)] = value
        else:
            notes.append(_name_too_long(name))
    return fitting


def _name_too_long(name: str) -> str:
    return f"{shown(name)}: dropped, its name is over {MAX_CHARACTERS:,} characters"
