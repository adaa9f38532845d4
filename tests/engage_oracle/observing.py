"""A message as Engage sees it: first step of the oracle, from a normalised message to an `Observed`."""

import re
from collections.abc import Iterator
from typing import Any

from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier
from headgate.spec.timestamps import parse_ms

BLOCKED = re.compile(r"[0-]*|-1|null|anonymous")
FIRST_TYPES = ("user_id", "email")  # the others follow in alphabetical order
NAMES = {"page": ("Page Viewed", "page_name"), "screen": ("Screen Viewed", "screen_name")}


def observed(message: dict[str, Any], seq: int, source: str) -> Observed:
    """What counts of a message: its identifiers by priority, its times, its name, what it says."""
    properties = dict(_object(message, "properties"))
    name = message.get("event", "") if message["type"] == "track" else ""
    if message["type"] in NAMES:
        name, own = NAMES[message["type"]]
        if "name" in message:
            properties[own] = message["name"]
    return Observed(
        seq=seq,
        message_id=message["messageId"],
        source=source,
        at_ms=_ms(message["timestamp"]),
        received_at_ms=_ms(message["receivedAt"]),
        name=name,
        identifiers=tuple(sorted(dict.fromkeys(_usable(message)), key=_priority)),
        properties=properties if name else {},
        context=_object(message, "context"),
        traits=_object(message, "traits") if message["type"] == "identify" else {},
    )


def _priority(identifier: Identifier) -> tuple[int, str]:
    """userId first, then email, then the other types by the alphabet; within a type as they stand."""
    if identifier.type in FIRST_TYPES:
        return FIRST_TYPES.index(identifier.type), ""
    return len(FIRST_TYPES), identifier.type


def _usable(message: dict[str, Any]) -> Iterator[Identifier]:
    """Every identifier of the message but blocked values, which stay in the message all the same."""
    for identifier in _identifiers(message):
        if not BLOCKED.fullmatch(identifier.value):
            yield identifier


def _identifiers(message: dict[str, Any]) -> Iterator[Identifier]:
    context = _object(message, "context")
    yield Identifier("user_id", message.get("userId", ""))
    if message["type"] == "identify":
        yield Identifier("email", _object(message, "traits").get("email", ""))
    yield Identifier("email", _object(context, "traits").get("email", ""))
    yield Identifier("anonymous_id", message.get("anonymousId", ""))
    for one in context.get("externalIds", []):
        whole = one.keys() >= {"id", "type", "collection", "encoding"}
        if whole and one["collection"] == "users" and one["encoding"] == "none":
            yield Identifier(one["type"].lower(), one["id"])


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def _ms(text: str) -> int:
    moment = parse_ms(text)
    assert moment is not None, text
    return moment
