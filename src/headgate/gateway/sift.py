"""Sifts a request's messages: the ones that enter the log, and the ones refused with a reason. Pure.

One odd message never costs its neighbours anything: strict decoding first, then tolerant, then a reason.
What a suppressed user sent is refused, and not kept, whatever else is wrong with it.
"""

import uuid
from collections.abc import Collection
from typing import Any

import msgspec

from headgate.eventlog.interface import Arrival
from headgate.eventlog.refused import Refusal
from headgate.gateway.post import Post
from headgate.spec.limits import MAX_BATCH_MESSAGES, MAX_MESSAGE_BYTES
from headgate.spec.message import Envelope, Routing, id_text
from headgate.spec.names import CALL_TYPE_CODES, TRACK
from headgate.spec.repair import DECODE_ERRORS, decode_tolerantly, repair

_TRACK = CALL_TYPE_CODES[TRACK]
_NOT_COUNTED = ("_metadata", "writeKey", "sentAt")  # added by libraries after they measured
_AROUND_A_FIELD = len('"":,')
_STARTS_OTHER_JSON = frozenset(b'["-0123456789tfnNI')

_decode_routing = msgspec.json.Decoder(Routing).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Loose(msgspec.Struct, rename="camel", gc=False):
    type: Any = None
    event: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    message_id: Any = None


_decode_loose = msgspec.json.Decoder(_Loose).decode

_NOBODY: frozenset[str] = frozenset()


def sift(
    post: Post, envelope: Envelope, suppressed: Collection[str] = _NOBODY
) -> tuple[Arrival, list[Refusal]]:
    """The post's acceptable messages in their order, and a refusal for each of the others."""
    arrival = Arrival(envelope, [], [], [], bytearray())
    refusals = [
        refusal(raw, envelope, "batch_too_long") for raw in post.messages[MAX_BATCH_MESSAGES:]
    ]
    path_code = CALL_TYPE_CODES.get(envelope.call_type)
    for raw in post.messages[:MAX_BATCH_MESSAGES]:
        try:
            routing = _decode_routing(raw)
        except DECODE_ERRORS:
            second = _second_look(raw)
            if second is None:
                refusals.append(refusal(raw, envelope, "malformed_message"))
                continue
            raw, routing, repairs = second
            arrival.note_repairs(repairs)
        code = path_code if path_code is not None else CALL_TYPE_CODES.get(routing.type or "")
        user_id = routing.user_id
        if type(user_id) is not str:
            user_id = id_text(user_id)
        reason = _reason(raw, routing, code, user_id)
        if not reason and user_id in suppressed:
            reason = "suppressed"
        if reason or code is None:
            refusals.append(refusal(raw, envelope, reason, routing.message_id or ""))
            continue
        message_id = routing.message_id
        if not message_id:
            message_id = str(uuid.uuid4())
            arrival.given.append(len(arrival.ids))
        arrival.raws.append(raw)
        arrival.ids.append(message_id)
        arrival.users.append(user_id)
        arrival.types.append(code)
    return arrival, _without_bodies_of(suppressed, refusals)


def refuse_all(
    post: Post, envelope: Envelope, reason: str, suppressed: Collection[str] = _NOBODY
) -> list[Refusal]:
    """Every message of a post that has no open source to go to."""
    refusals = [refusal(raw, envelope, reason) for raw in post.messages]
    return _without_bodies_of(suppressed, refusals)


def refusal(raw: bytes, envelope: Envelope, reason: str, message_id: str = "") -> Refusal:
    """A refused message, with the id under which its sender may ask for it."""
    if not message_id:
        second = _second_look(raw)
        message_id = (second[1].message_id or "") if second else ""
    return Refusal(
        at_ms=envelope.received_at_ms,
        source=envelope.source,
        reason=reason,
        message_id=message_id,
        body=raw,
    )


def counted_bytes(raw: bytes) -> int:
    """The size of a message without the fields that libraries add after they have measured it."""
    if len(raw) <= MAX_MESSAGE_BYTES:
        return len(raw)
    try:
        fields = _decode_fields(raw)
    except DECODE_ERRORS:
        return len(raw)
    added = (name for name in _NOT_COUNTED if name in fields)
    return len(raw) - sum(len(name) + _AROUND_A_FIELD + len(bytes(fields[name])) for name in added)


def _reason(raw: bytes, routing: Routing, code: int | None, user_id: str) -> str:
    if len(raw) > MAX_MESSAGE_BYTES and counted_bytes(raw) > MAX_MESSAGE_BYTES:
        return "message_too_large"
    if code is None:
        return "unknown_type"
    if not user_id and not id_text(routing.anonymous_id):
        return "no_ids"
    if code == _TRACK and not routing.event:
        return "no_event_name"
    return ""


def _without_bodies_of(suppressed: Collection[str], refusals: list[Refusal]) -> list[Refusal]:
    """The refusals; of what these users sent only the id is left."""
    if not suppressed:
        return refusals
    return [
        msgspec.structs.replace(one, body=b"") if _user_of(one.body) in suppressed else one
        for one in refusals
    ]


def _user_of(raw: bytes) -> str:
    second = _second_look(raw)
    return id_text(second[1].user_id) if second else ""


def _second_look(raw: bytes) -> tuple[bytes, Routing, tuple[str, ...]] | None:
    """The message, mended where needed, its routing fields made text, what was mended; None when it is no object."""
    if raw[:1] and raw[0] in _STARTS_OTHER_JSON:
        return None  # said cheaply: a hostile batch holds a quarter of a million of them
    try:
        loose, repairs = decode_tolerantly(_decode_loose, raw)
    except DECODE_ERRORS:
        return None
    routing = Routing(
        type=loose.type if isinstance(loose.type, str) else None,
        event=loose.event if isinstance(loose.event, str) else None,
        user_id=id_text(loose.user_id),
        anonymous_id=id_text(loose.anonymous_id),
        message_id=id_text(loose.message_id),
    )
    return (repair(raw)[0] if repairs else raw), routing, repairs
