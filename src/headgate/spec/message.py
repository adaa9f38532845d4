"""The message: what the doors read of it, what is stored around it, and the one form everybody after reads.

Raw stays raw: the bytes are kept as they came, with an `Envelope` once per request beside them.
`normalize` turns both into the message as Segment would hand it to a destination; it is pure, and
`FORMAT` is stored with every block so that old blocks stay readable when its rules change.
Common fields: https://segment.com/docs/connections/spec/common/
"""

import ipaddress
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from headgate.spec.repair import decode_tolerantly
from headgate.spec.timestamps import corrected_ms, iso_ms, parse_ms

FORMAT = 1

Timestamp = str | int | float | None


class Routing(msgspec.Struct, rename="camel", gc=False):
    """The few fields the doors look at; everything else of the message stays undecoded."""

    type: str | None = None
    event: str | None = None
    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    message_id: str | None = None


class MessageId(msgspec.Struct, rename="camel", gc=False):
    """Only the id of a message, whatever its type."""

    message_id: Any = None


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the server knows of a request, kept once for all of its messages.

    `call_type` is set by the path of a single post and "" for a batch. `context` and `integrations`
    are the batch's own, as JSON bytes, and go under each message's. `ip` is the peer's address.
    `erased` is set when the messages were forgotten: of each, only its type and messageId are left.
    `behind` is set when they go to destinations behind all the others, whenever there is room.
    """

    source: str
    received_at_ms: int
    workspace_version: int
    call_type: str = ""
    sent_at: Timestamp = None
    client_side: bool = False
    ip: str = ""
    context: bytes = b""
    integrations: bytes = b""
    repairs: tuple[str, ...] = ()
    erased: bool = False
    behind: bool = False


_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def id_text(value: object) -> str:
    """An id as text: numbers become their text as JavaScript writes it, anything else but text is absent ("")."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    if type(value) is float and value == value and abs(value) != float("inf"):
        return _float_text(value)
    return ""


def _float_text(value: float) -> str:
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    if "e-" not in text:
        return text
    return f"{Decimal(text):f}" if abs(value) >= 1e-6 else text.replace("e-0", "e-")


def normalize(raw: bytes, envelope: Envelope, given_id: str = "") -> dict[str, Any]:
    """The message as every later stage reads it: ids as text, times corrected, batch fields merged in.

    `given_id` is the messageId that the door gave a message without one. Unreadable times count as
    missing, with a sentence under `warnings`. Raises msgspec.MsgspecError when `raw` is no JSON object.
    """
    message, repairs = decode_tolerantly(_decode_object, raw)
    warnings = [*envelope.repairs, *repairs]
    _normalize_but_times(message, envelope, given_id)
    _correct_times(message, envelope, warnings)
    if warnings:
        message["warnings"] = warnings
    return message


def normalize_apart(
    raw: bytes, envelope: Envelope, given_id: str = ""
) -> tuple[dict[str, Any], int]:
    """The same for who wants the corrected timestamp as a number: times in the message are as they came."""
    message, _ = decode_tolerantly(_decode_object, raw)
    _normalize_but_times(message, envelope, given_id)
    return message, _happened_ms(message, envelope, [])[1]


def _normalize_but_times(message: dict[str, Any], envelope: Envelope, given_id: str) -> None:
    for ours in ("writeKey", "warnings"):
        message.pop(ours, None)
    message["messageId"] = given_id or id_text(message.get("messageId"))
    if envelope.call_type:
        message["type"] = envelope.call_type
    for name in ("userId", "anonymousId"):
        if name in message:
            message[name] = id_text(message[name])
    _merge_under(message, "integrations", envelope.integrations)
    _merge_under(message, "context", envelope.context)
    _fill_ip(message, envelope)


def _merge_under(message: dict[str, Any], name: str, shared: bytes) -> None:
    if not shared:
        return
    below = _decode_shared(shared)
    if not below:
        return
    own = message.get(name)
    message[name] = below | own if isinstance(own, dict) else below


@lru_cache(maxsize=8)
def _decode_shared(shared: bytes) -> dict[str, Any]:
    """A batch's own field, decoded once for all of its messages, which must not change it."""
    decoded = decode_tolerantly(msgspec.json.decode, shared)[0]
    return decoded if isinstance(decoded, dict) else {}


def _fill_ip(message: dict[str, Any], envelope: Envelope) -> None:
    """Only client-side sources get the peer's address, others when they ask by `context.direct`; IPv4 only.

    Source: https://segment.com/docs/connections/spec/common/#context-fields-automatically-collected
    """
    if not envelope.ip:
        return
    context = message.get("context")
    if context is None:
        context = {}
    if not isinstance(context, dict) or "ip" in context:
        return
    if envelope.client_side or context.get("direct") is True:
        message["context"] = context | {"ip": envelope.ip}


@lru_cache(maxsize=4096)
def storable_ip(address: str) -> str:
    """The address when it is IPv4 (also when mapped into IPv6), otherwise ""."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or "")
    return str(parsed)


def _correct_times(message: dict[str, Any], envelope: Envelope, warnings: list[str]) -> None:
    """Puts every time right by the documented formula: timestamp = receivedAt - (sentAt - originalTimestamp).

    Source: https://segment.com/docs/connections/spec/common/#timestamps
    """
    given = message.get("timestamp")
    sent_at, happened_ms = _happened_ms(message, envelope, warnings)
    message["receivedAt"] = iso_ms(envelope.received_at_ms)
    message["originalTimestamp"] = given
    message["sentAt"] = sent_at
    message["timestamp"] = iso_ms(happened_ms)


def _happened_ms(
    message: dict[str, Any], envelope: Envelope, warnings: list[str]
) -> tuple[object, int]:
    """When it was sent, as said, and when it happened, by our clock."""
    sent_at = message.get("sentAt")
    original_ms = _time("timestamp", message.get("timestamp"), warnings)
    sent_ms = _time("sentAt", sent_at, warnings)
    if sent_ms is None and envelope.sent_at is not None:
        sent_at = envelope.sent_at
        sent_ms = _time("sentAt", sent_at, warnings)
    return sent_at, corrected_ms(envelope.received_at_ms, sent_ms, original_ms)


def _time(name: str, value: object, warnings: list[str]) -> int | None:
    if value is None:
        return None
    parsed = parse_ms(value)
    if parsed is None:
        shown = value if isinstance(value, str | int | float) else type(value).__name__
        warnings.append(f"{name} is not a time and counts as missing: {str(shown)[:64]!r}")
    return parsed
