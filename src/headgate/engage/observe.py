"""Observes a message: from the normalised form that destinations get, what Engage needs of it.

The first step of a message in Engage; `identity.py` takes the identifiers from here, the computations the
rest. Where identifiers are found, and which values are better blocked:
https://segment.com/docs/unify/identity-resolution/identity-resolution-onboarding/

Values are taken as written, neither trimmed nor in another case, as the rest of Headgate and Heap take a
userId: two spellings of an e-mail address are two identifiers.
"""

import re
from functools import lru_cache
from typing import Any

from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier
from headgate.engage.rules import EMAIL, USER_ID, Rules, rank
from headgate.engage.violations import Violations
from headgate.spec.message import id_text
from headgate.spec.names import IDENTIFY, PAGE, SCREEN, TRACK
from headgate.spec.timestamps import parse_ms

MAX_VALUE_CHARACTERS = 512
MAX_IDENTIFIERS = 50  # of one message; Segment names no figure

PAGE_VIEWED = "Page Viewed"
SCREEN_VIEWED = "Screen Viewed"

_BLOCKED = frozenset({"-1", "null", "anonymous"})
_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_NOTHING: dict[str, Any] = {}

_received_ms = lru_cache(maxsize=64)(parse_ms)  # the same for all messages of a request


def observe(
    message: dict[str, Any], seq: int, source: str, rules: Rules, violations: Violations
) -> Observed:
    """The message as Engage sees it; shares its parts, which nobody may change.

    `violations` is told of the identifiers that are left out.
    """
    received_at, at = message["receivedAt"], message["timestamp"]
    received_at_ms = _received_ms(received_at) or 0
    at_ms = received_at_ms if at == received_at else parse_ms(at) or 0
    return observe_at((at_ms, received_at_ms), message, seq, source, rules, violations)


def observe_at(
    times: tuple[int, int],
    message: dict[str, Any],
    seq: int,
    source: str,
    rules: Rules,
    violations: Violations,
) -> Observed:
    """The same where it is known already when it happened, and when it arrived."""
    type_ = message.get("type")
    context = _dict(message.get("context"))
    traits = _dict(message.get("traits")) if type_ == IDENTIFY else _NOTHING
    properties = _dict(message.get("properties"))
    name = ""
    if type_ == TRACK:
        name = id_text(message.get("event"))
    elif type_ == PAGE:
        name, properties = PAGE_VIEWED, _named(properties, "page_name", message)
    elif type_ == SCREEN:
        name, properties = SCREEN_VIEWED, _named(properties, "screen_name", message)
    observed = Observed(
        seq, message["messageId"], source, *times, name, (), properties, context, traits
    )
    observed.identifiers = _identifiers(message, observed, rules, violations)
    return observed


def _dict(value: object) -> dict[str, Any]:
    return value if type(value) is dict else _NOTHING


def _named(properties: dict[str, Any], key: str, message: dict[str, Any]) -> dict[str, Any]:
    name = message.get("name")
    return properties | {key: name} if name else properties


def _identifiers(
    message: dict[str, Any], observed: Observed, rules: Rules, violations: Violations
) -> tuple[Identifier, ...]:
    """Those that can be used, by priority, the same one once."""
    context, traits = observed.context, observed.traits
    found: list[Identifier] = []
    if user_id := message.get("userId"):
        found.append(Identifier(USER_ID, user_id))
    if email := id_text(traits.get("email")):
        found.append(Identifier(EMAIL, email))
    if (
        (own := context.get("traits"))
        and type(own) is dict
        and (email := id_text(own.get("email")))
    ):
        found.append(Identifier(EMAIL, email))
    in_order = len(found)
    if anonymous_id := message.get("anonymousId"):
        found.append(Identifier("anonymous_id", anonymous_id))
    if "device" in context:
        found += _of_device(_dict(context["device"]))
    if "externalIds" in context:
        found += _external(context["externalIds"], observed, violations)
    for name, keys in rules.keys:
        found += _under(name, keys, (traits, _dict(own), observed.properties))
    if len(found) > in_order + 1:
        found.sort(key=rank)
    usable = [one for one in found if _is_usable(one, observed, violations)]
    if len(usable) > 1:
        usable = list(dict.fromkeys(usable))
    for one in usable[MAX_IDENTIFIERS:]:
        violations.add("too_many_identifiers", one, observed.message_id, observed.received_at_ms)
    return tuple(usable[:MAX_IDENTIFIERS])


def _is_usable(identifier: Identifier, observed: Observed, violations: Violations) -> bool:
    value = identifier.value
    if len(value) > MAX_VALUE_CHARACTERS:
        violations.add("value_too_long", identifier, observed.message_id, observed.received_at_ms)
        return False
    if value in _BLOCKED or not value.strip("0-") or value.isspace():
        violations.add("value_blocked", identifier, observed.message_id, observed.received_at_ms)
        return False
    return True


def _of_device(device: dict[str, Any]) -> list[Identifier]:
    """A phone's own; the advertising id only where its owner allows tracking."""
    system = device.get("type")
    if system not in ("android", "ios"):
        return []
    places = [("id", "id"), ("push_token", "token")]
    if device.get("adTrackingEnabled") is True:
        places.append(("idfa", "advertisingId"))
    return [
        Identifier(f"{system}.{name}", value)
        for name, place in places
        if (value := id_text(device.get(place)))
    ]


def _external(given: object, observed: Observed, violations: Violations) -> list[Identifier]:
    """`context.externalIds` of users: all four fields are required, the type in lower case."""
    found = []
    for one in given if isinstance(given, list) else ():
        entry = _dict(one)
        type_, value = id_text(entry.get("type")), id_text(entry.get("id"))
        if entry.get("collection") == "accounts":
            continue
        identifier = Identifier(type_, value)
        if (
            value
            and entry.get("collection") == "users"
            and entry.get("encoding") == "none"
            and _TYPE.fullmatch(type_)
        ):
            found.append(identifier)
        else:
            violations.add(
                "external_id_malformed", identifier, observed.message_id, observed.received_at_ms
            )
    return found


def _under(
    type_: str, keys: tuple[str, ...], places: tuple[dict[str, Any], ...]
) -> list[Identifier]:
    """A configured identifier, wherever a message has it among traits or properties."""
    return [
        Identifier(type_, value)
        for place in places
        for key in keys
        if (value := id_text(place.get(key)))
    ]
