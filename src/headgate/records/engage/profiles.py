"""Profiles as Segment's Profile API shows them: traits, identifiers, events, metadata. Pure; the HTTP is in `app/`.

Names of fields as in https://segment.com/docs/unify/profile-api/. What is not kept (the source and the time of
an identifier) is null.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from headgate.engage.computation.traits import written
from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier, Profile
from headgate.engage.registry import Record, State
from headgate.spec.timestamps import iso_ms

AUDIENCE = "audience"
COMPUTED_TRAIT = "computed_trait"
CLASSES = (AUDIENCE, COMPUTED_TRAIT)

Json = dict[str, Any]


class Held(msgspec.Struct, frozen=True):
    """A trait: its value, and when it was set or told last, None when that is not known."""

    value: Any
    updated_at_ms: int | None


def traits_of(
    profile: Profile, records: Iterable[Record], now_ms: int, of_class: str = ""
) -> dict[str, Held]:
    """A person's traits by name, in order; of one class, or all, where a computed one hides its namesake.

    An audience is true or false, also for somebody who was never in it. A trait without a value is left out.
    """
    found = {}
    if not of_class:
        for name, writes in profile.traits.items():
            value, _ = written(writes, now_ms)
            past = [one.at_ms for one in writes if one.at_ms <= now_ms]
            found[name] = Held(value, max(past, default=None))
    for record in records:
        if record.state is State.PREPARING and record.number not in profile.values:
            continue  # nothing was evaluated yet
        value = profile.value(record.number, is_audience=record.is_audience)
        if of_class in ("", AUDIENCE if record.is_audience else COMPUTED_TRAIT):
            found[record.key] = Held(value, _told_at(profile, record))
    return {name: found[name] for name in sorted(found) if found[name].value is not None}


def external_id(identifier: Identifier) -> Json:
    """An identifier."""
    return {
        "collection": "users",
        "id": identifier.value,
        "type": identifier.type,
        "encoding": "none",
        "source_id": None,
        "created_at": None,
        "first_message_id": None,
    }


def event(message: Observed, profile: Profile) -> Json:
    """An event; calls of pages and screens are the events that Engage makes of them."""
    ids = [
        {"collection": "users", "type": one.type, "id": one.value, "encoding": "none"}
        for one in message.identifiers
    ]
    return {
        "external_ids": ids,
        "context": message.context,
        "type": "track",
        "message_id": message.message_id,
        "source_id": message.source,
        "timestamp": iso_ms(message.at_ms),
        "properties": message.properties,
        "event": message.name,
        "related": {"users": segment_id(profile)},
    }


def metadata(profile: Profile, messages: Sequence[Observed]) -> Json:
    """When the person was first and last seen. `messages`: what is held of the last days, oldest first."""
    first = min(messages, key=lambda one: one.seq, default=None)
    last = max(messages, key=lambda one: one.seq, default=None)
    is_first = first is not None and first.received_at_ms <= profile.created_at_ms
    updated_at_ms = last.received_at_ms if last else profile.created_at_ms
    return {
        "created_at": iso_ms(profile.created_at_ms),
        "updated_at": iso_ms(updated_at_ms),
        "expires_at": None,
        "first_message_id": first.message_id if first and is_first else None,
        "first_source_id": first.source if first and is_first else None,
        "last_message_id": last.message_id if last else None,
        "last_source_id": last.source if last else None,
    }


def segment_id(profile: Profile) -> str:
    """The person's own id, which no message has."""
    return f"use_{profile.id}"


def _told_at(profile: Profile, record: Record) -> int | None:
    named = f"{record.number}/"
    told = (
        one.at_ms
        for sent in profile.sent.values()
        for name, one in sent.items()
        if name.startswith(named)
    )
    return max(told, default=None)
