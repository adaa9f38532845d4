"""All computations at a glance: how far each is, how large, what waits to be told, what was left out."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from headgate.delivery.budget import Spending
from headgate.destinations.interface import Destination as Kind
from headgate.engage.backfiller import backfill_path
from headgate.engage.batch import Position
from headgate.engage.reader import Backfill
from headgate.engage.registry import Record, State
from headgate.engage.step import UNDELIVERABLE
from headgate.engage.violations import Violation
from headgate.eventlog.block import BrokenBlock
from headgate.eventlog.log import BlockReader
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.audit import pending
from headgate.records.engage.evidence import program_of
from headgate.records.engage.stored import Engaged, behind
from headgate.records.stored import Stored
from headgate.records.words import json_of
from headgate.spec.names import engage_destination
from headgate.spec.timestamps import iso_ms

_NEWEST_MESSAGES = 20_000  # among which the last tellings are looked for
_VIOLATION = "violation/"


class Listed(msgspec.Struct, rename="camel"):
    """A computation. `state` is preparing, live or disabled; `ready_percent` is of one that is preparing.

    `members` have a value: who is in an audience, who has a trait that is not empty. `undeliverable` ones
    have no userId. `size_changed_at` is the beginning of the last hour in which `members` changed. `told_at`
    is when a destination was told last, as far as the newest messages of the log tell. `left_out` counts
    what people's records had no room for, None when nobody has counted.
    """

    key: str
    name: str
    kind: str
    state: str
    definition: str
    created_at: str
    members: int
    undeliverable: int
    destinations: tuple[str, ...]
    ready_percent: int | None = None
    size_changed_at: str | None = None
    told_at: str | None = None
    left_out: int | None = None


class Telling(msgspec.Struct, frozen=True, rename="camel"):
    """A destination that computations go to. `waiting` messages are to go into the log, `pending` to Heap.

    `drain_seconds` is how long both take under the destination's limits, None without limits.
    """

    destination: str
    enabled: bool
    waiting: int
    pending: int
    drain_seconds: int | None


class LeftOut(msgspec.Struct, frozen=True, rename="camel"):
    """An identifier that was not used, and why."""

    kind: str
    at: str
    message_id: str
    type: str
    value: str


class Listing(msgspec.Struct, rename="camel"):
    """Everything `headgate engage list` shows.

    `behind`: messages that Engage has not read yet. `sweep_percent`: how far it is in looking at everybody
    again, after a change; None when it is not. `violations` by kind, `last_violations` the newest first.
    """

    computations: list[Listed]
    destinations: list[Telling]
    people: int
    behind: int
    evaluated_at: str | None
    sweep_percent: int | None
    violations: dict[str, int]
    last_violations: list[LeftOut]


def listing(
    stored: Stored, store: Engaged, catalog: Mapping[str, Kind], *, thorough: bool = False
) -> Listing:
    """The computations and what is going on. `thorough` looks at every profile for what was left out."""
    position = store.position()
    sizes, counters = store.sizes(), store.counters()
    left_out = _left_out(store) if thorough else None
    ready = Readiness(stored.data_dir, store)
    with closing(sqlite_reader(stored.log)) as log:
        told_at = _last_tellings(log)
    found = [
        Listed(
            key=one.key,
            name=one.name,
            kind=one.kind,
            state=one.state.value,
            definition=one.definition,
            created_at=iso_ms(one.created_at_ms),
            members=sizes.get(one.number, 0),
            undeliverable=counters.get(f"{UNDELIVERABLE}{one.number}", 0),
            destinations=one.destinations,
            ready_percent=ready.percent(one),
            size_changed_at=_size_changed_at(store, one),
            told_at=told_at.get(one.key),
            left_out=None if left_out is None else left_out[one.number],
        )
        for one in store.records
    ]
    return Listing(
        computations=found,
        destinations=_destinations(stored, store, catalog),
        people=store.profile_count(),
        behind=behind(store, stored),
        evaluated_at=iso_ms(position.clock_ms) if position.clock_ms else None,
        sweep_percent=_sweep_percent(store, position),
        violations={
            name.removeprefix(_VIOLATION): n
            for name, n in sorted(counters.items())
            if name.startswith(_VIOLATION)
        },
        last_violations=[_said(one) for one in store.violations()],
    )


class Readiness:
    """How far computations are that are being prepared."""

    def __init__(self, data_dir: Path, store: Engaged) -> None:
        self._data_dir = data_dir
        self._store = store
        self._jobs = store.backfills()

    def percent(self, record: Record) -> int | None:
        """Of what is to be read, the log's newest messages or the past; None: it is not being prepared."""
        if record.state is not State.PREPARING:
            return None
        shares = [self._store.position().seq / max(1, record.ready_after_seq)]
        if self._jobs:
            program = program_of(self._store.records, self._store.leaves())
            lacking = program.leaves_of[record.number]
            shares += [_share(self._data_dir, job) for job in self._jobs if job.leaves & lacking]
        return min(99, round(100 * min(shares)))


def _share(data_dir: Path, job: Backfill) -> float:
    """How much of a job's file was read, which is written before."""
    try:
        size = backfill_path(data_dir, job.job).stat().st_size
    except FileNotFoundError:
        return 0.0
    return job.read_to / max(1, size)


def _size_changed_at(store: Engaged, record: Record) -> str | None:
    changes = store.size_history(record.number)
    return iso_ms(changes[-1][0]) if changes else None


def _sweep_percent(store: Engaged, position: Position) -> int | None:
    after = store.sweep()
    return None if after is None else min(99, 100 * after // max(1, position.last_profile))


def _destinations(stored: Stored, store: Engaged, catalog: Mapping[str, Kind]) -> list[Telling]:
    """Those that a computation goes to or went to, in the workspace's order, then others."""
    waiting = store.waiting()
    slugs = dict.fromkeys(slug for one in store.records for slug in one.destinations)
    unsent = pending(stored)
    ids = stored.current.destination_ids
    present = {one.slug: one for one in stored.current.workspace.destinations}
    found = []
    for slug in (*slugs, *sorted(waiting.keys() - slugs.keys())):
        one = present.get(slug)
        left = unsent.get(ids.get(slug, 0), 0)
        rows = waiting.get(slug, 0)
        drain_s = None
        if one is not None and one.metadata_id in catalog:
            budget = catalog[one.metadata_id].budget(one.settings)
            drain_s = Spending(budget).drain_s(rows + left, 0)
        is_enabled = one is not None and one.enabled
        rounded = None if drain_s is None else round(drain_s)
        found.append(Telling(slug, is_enabled, rows, left, rounded))
    return found


def _last_tellings(log: BlockReader) -> dict[str, str]:
    """When each computation was told last, by key, as far as the newest messages say."""
    told: dict[str, str] = {}
    try:
        for block in log.blocks(max(0, log.last_seq() - _NEWEST_MESSAGES)):
            for entry in block.entries():
                if engage_destination(entry.envelope.source) and not entry.envelope.erased:
                    told[_key_in(json_of(entry.raw))] = iso_ms(entry.envelope.received_at_ms)
    except BrokenBlock:
        pass  # what was found before it is as good as it gets; the audit tells of the damage
    return told


def _key_in(message: Any) -> str:
    """The computation that an identify of Engage's tells of; "" when it is none."""
    for name in ("context", "personas", "computation_key"):
        message = message.get(name) if isinstance(message, dict) else None
    return message if isinstance(message, str) else ""


def _left_out(store: Engaged) -> Counter[int]:
    """How often something was left out of people's records, by the computations that it concerns."""
    program = program_of(store.records, store.leaves())
    left_out: Counter[int] = Counter()
    for profile in store.profiles():
        dropped = program.dropped(profile)
        for number, leaves in program.leaves_of.items() if dropped else ():
            left_out[number] += sum(dropped.get(leaf, 0) for leaf in leaves)
    return left_out


def _said(one: Violation) -> LeftOut:
    return LeftOut(one.kind, iso_ms(one.at_ms), one.message_id, one.type, one.value)
