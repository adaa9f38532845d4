"""The mapping: a decoded message in, what Heap is to store out. Pure: no queue, no HTTP, no clock.

It stands between routing, which has decided that the message goes to Heap, and the attempt, which
sends many of these units in one request. Promises, whichever `mapping` is chosen:

- It never raises, whatever JSON the message holds.
- A unit names its user. Without a userId there is none, and nothing that is too long to be stored whole
  is shortened into somebody else: identities over 255 characters and event names over 1,024
  are discarded. https://developers.heap.io/reference/track-1
- An identify call without usable traits is still a unit; its properties are then `{}`.
- Every cut and drop stands in the unit's `notes`, in words, for the trace.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from headgate.destinations.heap import classic, standard
from headgate.destinations.heap.flatten import Flat, shown
from headgate.destinations.heap.jstext import number_text, well_formed
from headgate.destinations.heap.settings import MAPPING_CLASSIC, MAPPING_HEAP
from headgate.destinations.interface import Discard
from headgate.spec.names import IDENTIFY, TRACK

MAX_IDENTITY_CHARACTERS = 255
MAX_EVENT_NAME_CHARACTERS = 1024

_NUMBERS_END = 10**300  # about where a double ends; larger whole numbers count as infinite
_MAX_NOTES = 20  # a message full of nulls must not grow a trace larger than itself


class UserProperties(msgspec.Struct, frozen=True, gc=False):
    """What an identify call sets on a user."""

    identity: str
    properties: Flat
    notes: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True, gc=False):
    """What a track call records. Heap ignores a repeated `idempotency_key`; `None` is left out."""

    identity: str
    event: str
    properties: Flat
    timestamp: str | None
    idempotency_key: str | None
    notes: tuple[str, ...] = ()


_Properties = Callable[[dict[str, Any], dict[str, Any], list[str]], Flat]

USER_PROPERTIES: dict[str, _Properties] = {
    MAPPING_HEAP: standard.user_properties,
    MAPPING_CLASSIC: classic.classic_user_properties,
}
EVENT_PROPERTIES: dict[str, _Properties] = {
    MAPPING_HEAP: standard.event_properties,
    MAPPING_CLASSIC: classic.classic_event_properties,
}


def map_message(
    message: dict[str, Any], settings: Mapping[str, Any]
) -> UserProperties | Event | Discard:
    """The message as Heap gets it, or why it gets none of it.

    `message` is normalised: ids as text, `timestamp` corrected and in UTC with milliseconds.
    `settings` are complete.
    """
    identity = _identity(message.get("userId"))
    if not identity:
        return Discard("no_user_id")
    if len(identity) > MAX_IDENTITY_CHARACTERS:
        return Discard("identity_too_long", f"{len(identity):,} characters")
    call_type = message.get("type")
    if call_type == TRACK:
        return _event(message, identity, settings)
    if call_type == IDENTIFY:
        return _user(message, identity, settings)
    return Discard("unsupported_type")


def _event(message: dict[str, Any], identity: str, settings: Mapping[str, Any]) -> Event | Discard:
    event = _text(message.get("event"))
    if event is None:
        return Discard("no_event_name")
    if len(event) > MAX_EVENT_NAME_CHARACTERS:
        return Discard("event_name_too_long", f"{len(event):,} characters")
    notes: list[str] = []
    properties = _object(message, "properties", notes)
    return Event(
        identity,
        event,
        EVENT_PROPERTIES[settings["mapping"]](message, properties, notes),
        _text(message.get("timestamp")),
        _text(message.get("messageId")),
        _told(notes),
    )


def _user(message: dict[str, Any], identity: str, settings: Mapping[str, Any]) -> UserProperties:
    notes: list[str] = []
    traits = _object(message, "traits", notes)
    if settings["nullTraits"] is not None and _is_from_engage(message):
        traits = _without_nulls(traits, settings["nullTraits"], notes)
    properties = USER_PROPERTIES[settings["mapping"]](message, traits, notes)
    return UserProperties(identity, properties, _told(notes))


def _identity(user_id: Any) -> str:
    """The userId as text, a number as JavaScript writes it; "" when it is neither."""
    if type(user_id) is str:
        return well_formed(user_id)
    if type(user_id) is int and abs(user_id) < _NUMBERS_END:
        return str(user_id)
    if type(user_id) is float and math.isfinite(user_id):
        return number_text(user_id)
    return ""


def _text(value: Any) -> str | None:
    """The value when it is text and not empty."""
    return well_formed(value) if type(value) is str and value else None


def _object(message: dict[str, Any], field: str, notes: list[str]) -> dict[str, Any]:
    """The message's traits or properties; anything but an object counts as none."""
    value = message.get(field)
    if type(value) is dict:
        return value
    if value is not None:
        notes.append(f"{field}: dropped, expected an object")
    return {}


def _is_from_engage(message: dict[str, Any]) -> bool:
    """Engage marks what it sends: https://segment.com/docs/engage/using-engage-data/"""
    context = message.get("context")
    return type(context) is dict and context.get("personas") is not None


def _without_nulls(traits: dict[str, Any], instead: Any, notes: list[str]) -> dict[str, Any]:
    """Heap cannot unset a property, so a trait that became null becomes the configured value."""
    nulls = [name for name, value in traits.items() if value is None]
    notes += (f"{shown(name)}: it is null, sent as nullTraits says" for name in nulls)
    return traits | dict.fromkeys(nulls, instead)


def _told(notes: list[str]) -> tuple[str, ...]:
    if len(notes) <= _MAX_NOTES:
        return tuple(notes)
    return (*notes[:_MAX_NOTES], f"and {len(notes) - _MAX_NOTES:,} more")
