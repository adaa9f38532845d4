"""A person's traits, each with where it comes from: the identify that set it, or the computation behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headgate.engage.computation.traits import written
from headgate.engage.profile import Profile
from headgate.engage.registry import Record, State
from headgate.records.engage.answers import Answer, Sought, answers
from headgate.records.engage.rows import LastTold, told_of
from headgate.records.engage.standing import last_told, untold
from headgate.records.engage.stored import Engaged
from headgate.records.engage.tellings import message_id_of
from headgate.records.stored import Stored


class TraitSet(msgspec.Struct, frozen=True):
    """A trait that an identify set, with this messageId."""

    name: str
    value: Any
    message_id: str
    at_ms: int


class TraitComputed(msgspec.Struct, frozen=True):
    """A computation's value for a person, and what destinations were told of it."""

    record: Record
    value: Any
    told: list[LastTold]
    untold: list[str]


def traits_set(profile: Profile, now_ms: int) -> list[TraitSet]:
    """Those that hold now, by name; null took others away."""
    found = []
    for name, writes in sorted(profile.traits.items()):
        value, _ = written(writes, now_ms)
        held = [one for one in writes if one.at_ms <= now_ms]
        if held and value is not None:
            found.append(TraitSet(name, value, held[-1].message_id, held[-1].at_ms))
    return found


def traits_computed(stored: Stored, store: Engaged, profile: Profile) -> list[TraitComputed]:
    """Every computation, as it stands for the person, those still prepared left out."""
    records = [one for one in store.records if one.state is not State.PREPARING]
    said = _said(profile, records)
    became = answers(stored, said)
    return [_computed(profile, one, became) for one in records]


def _said(profile: Profile, records: Sequence[Record]) -> set[Sought]:
    return {
        Sought(slug, message_id_of(profile, record, slug, user_id, sent))
        for record in records
        for slug, user_id, sent in last_told(profile, record)
    }


def _computed(profile: Profile, record: Record, became: Mapping[Sought, Answer]) -> TraitComputed:
    value = profile.value(record.number, is_audience=record.is_audience)
    told = list(told_of(profile, record, became))
    return TraitComputed(record, value, told, sorted(untold(profile, record)))
