"""The mapping `heap`, the default: names as the Segment Spec has them, values as Heap documents them.

Objects are flattened with dots, arrays become JSON text, and everything else stays what it is.
https://segment.com/docs/connections/destinations/catalog/heap/#nested-objects-and-arrays
Heap forbids user properties called `id` (https://developers.heap.io/reference/add-user-properties)
and `user_id` in any case, and fills its own Email property from `email`, which therefore stays.
"""

import re
from typing import Any

import msgspec

from headgate.destinations.heap.dates import utc_date
from headgate.destinations.heap.flatten import Dialect, Flat, flatten, property_text, shown
from headgate.destinations.heap.jstext import json_text, number_text

_EXPONENT = re.compile("[0-9]e[-0-9]")  # in a number, or in a text that looks like one
_UNKNOWN = "unknown"  # what Engage names as its library
_FORBIDDEN_USER_PROPERTIES = frozenset({"id", "user_id"})


def user_properties(message: dict[str, Any], traits: dict[str, Any], notes: list[str]) -> Flat:
    """The user properties of an identify call."""
    flat = flatten(traits, _STANDARD, notes)
    for name in [name for name in flat if name.lower() in _FORBIDDEN_USER_PROPERTIES]:
        del flat[name]
        notes.append(f"{shown(name)}: dropped, Heap forbids a user property of this name")
    return _with_library(flat, message, notes)


def event_properties(message: dict[str, Any], properties: dict[str, Any], notes: list[str]) -> Flat:
    """The properties of a track call."""
    return _with_library(flatten(properties, _STANDARD, notes), message, notes)


def _with_library(flat: Flat, message: dict[str, Any], notes: list[str]) -> Flat:
    """Says which library sent the message, unless the sender uses the name for something else."""
    if "segment_library" in flat:
        return flat
    context = message.get("context")
    library = context.get("library") if type(context) is dict else None
    name = library.get("name") if type(library) is dict else None
    if type(name) is str and name and name != _UNKNOWN:
        flat["segment_library"] = property_text("segment_library", name, _STANDARD, notes)
    return flat


def _array_text(items: list[Any]) -> str:
    try:
        text = msgspec.json.encode(items).decode()
    except (UnicodeEncodeError, RecursionError, ValueError):
        text = ""
    if text and not _EXPONENT.search(text):
        return text
    return json_text(items, entries=dict.items, number=_number_text)


def _number_text(number: float) -> str:
    """The number as the encoder writes it, but for exponents, which JavaScript writes in a form of its own.

    `null` when it has more digits than Python will write.
    """
    try:
        text = msgspec.json.encode(number).decode()
    except ValueError:
        return "null"
    return number_text(number) if "e" in text else text


_STANDARD = Dialect(
    entries=dict.items,
    prefix="{}.".format,
    date=utc_date,
    array_text=_array_text,
    large_integer=int,
)
