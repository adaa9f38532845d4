"""What Heap's script in a page is told of a message in device mode: the calls, for people to read.

The integration that makes them is TypeScript, `web/heap`; this is what it does, told by the server's own
mapping, which is held to the same cases. Unlike the server, the page knows visitors without a userId.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from headgate.destinations.heap.mapping import (
    EVENT_PROPERTIES,
    MAX_EVENT_NAME_CHARACTERS,
    MAX_IDENTITY_CHARACTERS,
    USER_PROPERTIES,
)
from headgate.destinations.interface import Discard
from headgate.spec.integrations import refused_by
from headgate.spec.names import IDENTIFY, TRACK

_NAME = "Heap"


class Call(NamedTuple):
    """One call of Heap's script: `heap.METHOD(ARGUMENTS)`."""

    method: str
    arguments: tuple[Any, ...]

    @property
    def text(self) -> str:
        """The call as a page would have it."""
        written = ", ".join(msgspec.json.encode(one).decode() for one in self.arguments)
        return f"heap.{self.method}({written})"


def calls_in_page(message: dict[str, Any], settings: Mapping[str, Any]) -> list[Call] | Discard:
    """The calls that a page makes for its own message, in their order, or why it makes none."""
    switched_off_by = refused_by(message.get("integrations"), _NAME)
    if switched_off_by is not None:
        return Discard("integrations_object", f"integrations.{switched_off_by} is false")
    known = message | {"userId": _user_id(message)}
    if message.get("type") == IDENTIFY:
        return _identify(known, settings)
    if message.get("type") == TRACK:
        return _track(known, settings)
    return Discard("unsupported_type", f"type {message.get('type')}")


def _identify(message: dict[str, Any], settings: Mapping[str, Any]) -> list[Call] | Discard:
    user_id = message["userId"]
    if len(user_id) > MAX_IDENTITY_CHARACTERS:
        return Discard("identity_too_long", f"{len(user_id):,} characters")
    if user_id.strip().lower() in {str(one).strip().lower() for one in settings["junkIdentities"]}:
        return Discard("junk_identity", f"userId {user_id!r}")
    properties = USER_PROPERTIES[settings["mapping"]](message, _members(message, "traits"), [])
    told = Call("addUserProperties", (properties,))
    return [Call("identify", (user_id,)), told] if user_id else [told]


def _track(message: dict[str, Any], settings: Mapping[str, Any]) -> list[Call] | Discard:
    event = message.get("event")
    if not isinstance(event, str) or not event:
        return Discard("no_event_name")
    if len(event) > MAX_EVENT_NAME_CHARACTERS:
        return Discard("event_name_too_long", f"{len(event):,} characters")
    given = _members(message, "properties")
    return [Call("track", (event, EVENT_PROPERTIES[settings["mapping"]](message, given, [])))]


def _user_id(message: dict[str, Any]) -> str:
    """Blanks name nobody."""
    user_id = message.get("userId")
    return user_id if isinstance(user_id, str) and user_id.strip() else ""


def _members(message: dict[str, Any], field: str) -> dict[str, Any]:
    value = message.get(field)
    return value if isinstance(value, dict) else {}
