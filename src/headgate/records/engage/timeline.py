"""What happened to a person, newest first: their messages, and what Engage had to say of them.

messages of the profile (`messages.py`)  ─┐
Engage's identifies of the userIds (`find`) ─┴→ one list by time
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from typing import Any

import msgspec

from headgate.engage.observed import Observed
from headgate.engage.profile import Profile
from headgate.engage.rules import USER_ID
from headgate.eventlog.block import BrokenBlock
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.criteria import Criteria
from headgate.records.engage.life import Merge, Origin, merges, origins
from headgate.records.engage.messages import messages_of
from headgate.records.engage.stored import Engaged
from headgate.records.find import find
from headgate.records.stored import Stored
from headgate.records.words import json_of
from headgate.spec.names import engage_source
from headgate.spec.timestamps import parse_ms

_NEWEST = 1_000  # messages of each name that are looked at
_NEWEST_TOLD = 300


class What(StrEnum):
    """What happened: an event; an identify that brought traits; another call; a telling of Engage's."""

    EVENT = "event"
    IDENTIFY = "identify"
    CALL = "call"
    TOLD = "told"


class Happened(msgspec.Struct, frozen=True):
    """One thing. `name` is the event's, or the computation's key; `said` what it came with.

    Of a telling, `destination` was told, with this `outcome`.
    """

    at_ms: int
    what: What
    name: str
    message_id: str
    source: str
    said: Any = None
    destination: str = ""
    outcome: str = ""


class Life(msgspec.Struct, frozen=True):
    """A person's messages as a whole. `is_whole`: no more of them are held than were looked at."""

    happened: list[Happened]
    origins: list[Origin]
    merges: list[Merge]
    first_ms: int | None
    last_ms: int | None
    is_whole: bool


def life_of(stored: Stored, store: Engaged, profile: Profile) -> Life:
    """Everything that is held of a person. Raises OSError when the archive cannot be read."""
    messages = messages_of(store, stored.data_dir, profile.id, newest=_NEWEST)
    told = list(_told(stored, profile.of_type(USER_ID)))
    happened = [*map(_happened, messages), *told]
    happened.sort(key=lambda one: (one.at_ms, one.message_id), reverse=True)
    return Life(
        happened=happened,
        origins=origins(profile.identifiers, messages),
        merges=merges(messages, profile.identifiers),
        first_ms=messages[0].at_ms if messages else None,
        last_ms=messages[-1].at_ms if messages else None,
        is_whole=len(messages) < _NEWEST and len(told) < _NEWEST_TOLD,
    )


def _happened(one: Observed) -> Happened:
    if one.name:
        return Happened(one.at_ms, What.EVENT, one.name, one.message_id, one.source, one.properties)
    what = What.IDENTIFY if one.traits else What.CALL
    return Happened(one.at_ms, what, "", one.message_id, one.source, one.traits)


def _told(stored: Stored, user_ids: Sequence[str]) -> Iterator[Happened]:
    """What the log holds of Engage's own identifies."""
    sources = tuple(engage_source(stay.slug) for stay in stored.history)
    if not user_ids or not sources:
        return
    asked = Criteria(users=tuple(user_ids), sources=sources)
    found = find(stored, asked, _NEWEST_TOLD).messages
    with closing(sqlite_reader(stored.log)) as log:
        for one in found:
            try:
                key, value = _telling_in(json_of(log.entry(one.position).raw))
            except (KeyError, BrokenBlock):
                continue
            at_ms = parse_ms(one.received_at) or 0
            yield Happened(
                at_ms,
                What.TOLD,
                key,
                one.message_id,
                one.source,
                value,
                one.destination,
                one.outcome,
            )


def _telling_in(message: Any) -> tuple[str, Any]:
    """The computation that an identify of Engage's tells of, and its value; raises KeyError for another message."""
    if not isinstance(message, dict):
        raise KeyError("an erased message")
    key = message["context"]["personas"]["computation_key"]
    return key, message["traits"][key]
