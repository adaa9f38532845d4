"""The mapping `segment-classic`: the properties that Segment's classic Heap destination sends.

Who moves from Segment keeps the names and texts that their reports at Heap are built on. That
destination reads a message through Segment's facade and so renames `email` to `_email`, finds it
under other spellings and in other places, puts the userId into the trait `id`, and writes values as
JavaScript does. Where it would send what Heap refuses (null, `{}`, NaN), nothing is sent.

Sources: https://github.com/segment-boneyard/integration-heap,
https://www.npmjs.com/package/@segment/facade, https://www.npmjs.com/package/obj-case
"""

import re
from typing import Any

from headgate.destinations.heap.dates import classic_utc_date, utc_dates_in_json
from headgate.destinations.heap.flatten import Dialect, Flat, flatten, property_text
from headgate.destinations.heap.jstext import entries_in_js_order, json_text, number_text

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9.]+")
_EMAIL = re.compile(r"[^\n\r\u2028\u2029]@[^\n\r\u2028\u2029]+\.[^\n\r\u2028\u2029]")


def classic_user_properties(
    message: dict[str, Any], traits: dict[str, Any], notes: list[str]
) -> Flat:
    """The user properties of an identify call; one that a page made for a visitor has no userId."""
    user_id = message["userId"]
    email = _first(_find(traits, "email"), _email_in(user_id))
    named = traits | {"id": user_id} if user_id else traits
    return _as_sent(message, named, email, notes)


def classic_event_properties(
    message: dict[str, Any], properties: dict[str, Any], notes: list[str]
) -> Flat:
    """The properties of a track call."""
    context = message.get("context")
    email = _first(
        _find(_find(context, "traits"), "email"),
        _find(properties, "email"),
        _find(context, "traits.email"),
        _email_in(message["userId"]),
    )
    return _as_sent(message, properties, email, notes)


def _as_sent(
    message: dict[str, Any], properties: dict[str, Any], email: Any, notes: list[str]
) -> Flat:
    if email is not None:
        properties = properties | {"_email": email}
        properties.pop("email", None)
    flat = flatten(properties, _CLASSIC, notes)
    library = _first(_find(message.get("context"), "library.name"))
    known = isinstance(library, str)
    flat["segment_library"] = (
        property_text("segment_library", library, _CLASSIC, notes) if known else ""
    )
    return flat


def _find(members: Any, path: str) -> Any:
    """The value at a dotted path, whatever case and punctuation its keys have; `None` without one.

    The first key that fits decides, also when its value turns out to be null.
    """
    while type(members) is dict:
        for key, value in members.items():
            name = _NOT_IN_NAMES.sub("", key).lower()
            if path == name:
                return value
            if path.startswith(f"{name}."):
                members, path = value, path.removeprefix(f"{name}.")
                break
        else:
            return None
    return None


def _first(*candidates: Any) -> Any:
    """The first candidate that JavaScript takes for true; `None` without one."""
    return next(filter(_is_truthy, candidates), None)


def _is_truthy(value: Any) -> bool:
    return type(value) is dict or type(value) is list or (bool(value) and value == value)


def _email_in(user_id: Any) -> Any:
    return user_id if isinstance(user_id, str) and _EMAIL.search(user_id) else None


def _array_text(items: list[Any]) -> str:
    return utc_dates_in_json(json_text(items), classic=True)


def _large_integer(number: int) -> float:
    """The digits that JavaScript would send for it: those that its double needs, then zeros."""
    text = number_text(number)
    return float(text) if "e" in text else int(text)


def _under(name: str) -> str:
    """An object without a name leaves none to its members."""
    return f"{name}." if name else ""


_CLASSIC = Dialect(
    entries=entries_in_js_order,
    prefix=_under,
    date=classic_utc_date,
    array_text=_array_text,
    large_integer=_large_integer,
)
