"""The computations there are: what the workspace asks for, held against what Engage's store remembers.

Between the workspace's `engage` section and the engine. Pure. A computation is known by its key for good:
renaming makes a new one, editing does not, and the key of one that was removed is never used again,
because destinations would take its members for the new one's.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from headgate.language.names import key_of
from headgate.workspace.model import Audience, ComputedTrait, Engage

AUDIENCE = "audience"
TRAIT = "trait"


class State(StrEnum):
    """How far a computation has come."""

    PREPARING = "preparing"  # history is still being read
    LIVE = "live"
    DISABLED = "disabled"  # what was told stands
    REMOVED = "removed"


class Record(msgspec.Struct, frozen=True):
    """A computation as Engage's store remembers it.

    It may be evaluated once the engine has read up to `ready_after_seq`, and its leaves lack nothing. What
    destinations were told before `again_before_ms` they are told again.
    """

    number: int
    key: str
    name: str
    kind: str
    definition: str
    include_history: bool | str
    include_anonymous: bool
    wait: bool
    destinations: tuple[str, ...]
    created_at_ms: int
    state: State
    ready_after_seq: int = 0
    again_before_ms: int = 0
    connected: tuple[str, ...] = ()  # the destinations that were enabled when it was planned last
    places: dict[str, str] = {}  # where destinations stood then, by slug
    moved_at_ms: dict[
        str, int
    ] = {}  # since when they stand there, of those that once stood elsewhere

    def standing(self, connected: tuple[str, ...], places: dict[str, str], at_ms: int) -> "Record":
        """The same with its destinations as they stand at this time; another App ID is another place."""
        moved = {
            slug: at_ms for slug in places if self.places.get(slug, places[slug]) != places[slug]
        }
        return msgspec.structs.replace(
            self,
            connected=connected,
            places=self.places | places,
            moved_at_ms=self.moved_at_ms | moved,
        )

    @property
    def is_audience(self) -> bool:
        """Whether it is an audience, and its value membership."""
        return self.kind == AUDIENCE


class Reading(msgspec.Struct, frozen=True):
    """When it is, and how far the log goes."""

    log_ends_at_seq: int
    at_ms: int


class Change(msgspec.Struct, frozen=True):
    """The computations from now on, and those whose key cannot be used again."""

    records: tuple[Record, ...]
    refused: tuple[str, ...] = ()


def compared(engage: Engage, known: Sequence[Record], reading: Reading) -> Change:
    """What becomes of the known computations, and the new ones, in the order of their numbers."""
    by_key = {record.key: record for record in known}
    next_number = 1 + max((record.number for record in known), default=0)
    records = dict(by_key)
    refused = []
    wanted = _wanted(engage)
    for key, asked in wanted.items():
        before = by_key.get(key)
        if before is None:
            records[key] = _new(next_number, key, asked, reading)
            next_number += 1
        elif before.state is State.REMOVED or before.kind != asked.kind:
            refused.append(key)
            records[key] = msgspec.structs.replace(before, state=State.REMOVED)
        else:
            records[key] = _edited(before, asked, reading)
    for key, record in by_key.items():
        if key not in wanted:
            records[key] = msgspec.structs.replace(record, state=State.REMOVED)
    return Change(
        tuple(sorted(records.values(), key=lambda one: one.number)), tuple(sorted(refused))
    )


class _Asked(msgspec.Struct, frozen=True):
    """What the workspace says of a computation."""

    kind: str
    name: str
    definition: str
    include_history: bool | str
    include_anonymous: bool
    wait: bool
    destinations: tuple[str, ...]
    enabled: bool


def _wanted(engage: Engage) -> Mapping[str, _Asked]:
    return {one.key or key_of(one.name): _of_audience(one) for one in engage.audiences} | {
        one.key or key_of(one.name): _of_trait(one) for one in engage.computed_traits
    }


def _of_audience(one: Audience) -> _Asked:
    return _Asked(
        kind=AUDIENCE,
        name=one.name,
        definition=one.definition,
        include_history=one.include_history,
        include_anonymous=one.include_anonymous,
        wait=one.wait,
        destinations=one.destinations,
        enabled=one.enabled,
    )


def _of_trait(one: ComputedTrait) -> _Asked:
    return _Asked(
        kind=TRAIT,
        name=one.name,
        definition=one.definition,
        include_history=True,
        include_anonymous=True,
        wait=False,
        destinations=one.destinations,
        enabled=one.enabled,
    )


def _new(number: int, key: str, asked: _Asked, reading: Reading) -> Record:
    return Record(
        number=number,
        key=key,
        created_at_ms=reading.at_ms,
        state=State.PREPARING if asked.enabled else State.DISABLED,
        ready_after_seq=reading.log_ends_at_seq,
        **_said(asked),
    )


def _edited(before: Record, asked: _Asked, reading: Reading) -> Record:
    """The same computation by what is asked now; another definition has history to read again."""
    after = msgspec.structs.replace(before, **_said(asked))
    if not asked.enabled:
        after = msgspec.structs.replace(after, state=State.DISABLED)
    elif before.state is State.DISABLED:
        after = msgspec.structs.replace(after, state=State.PREPARING)
    if _computes_alike(before, after):
        return after
    return msgspec.structs.replace(
        after,
        state=State.PREPARING if asked.enabled else State.DISABLED,
        ready_after_seq=reading.log_ends_at_seq,
    )


def _computes_alike(one: Record, other: Record) -> bool:
    return (one.definition, one.include_history, one.include_anonymous, one.wait) == (
        other.definition,
        other.include_history,
        other.include_anonymous,
        other.wait,
    )


def _said(asked: _Asked) -> dict[str, Any]:
    said = msgspec.structs.asdict(asked)
    del said["enabled"]
    return said
