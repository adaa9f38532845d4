"""What a data directory holds, at a glance: workspace, log, and how far each destination has come.

Counts of outcomes are the tallies that delivery keeps, which are quick to read; the audit counts every
message itself.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing, nullcontext
from pathlib import Path

import msgspec

from headgate.delivery.breaker import State
from headgate.delivery.budget import Spending, strictest
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED, Standing
from headgate.delivery.reader import DeliveryReader
from headgate.delivery.routing import DEVICE
from headgate.destinations.interface import Budget
from headgate.destinations.interface import Destination as Kind
from headgate.engage.history.parts import history_directory, size_bytes
from headgate.eventlog.refused import refusal_counts
from headgate.eventlog.sqlite import sqlite_reader
from headgate.locks import is_held
from headgate.records.audit import pending
from headgate.records.damage import Known, known_damage
from headgate.records.replays import Progress, progress
from headgate.records.stored import Stored
from headgate.records.stretches import received_at
from headgate.spec.timestamps import iso_ms
from headgate.workspace.model import Destination
from headgate.workspace.store import DestinationStay

DELIVERING = State.CLOSED.value
REMOVED = "removed"
_ENGAGE_LOCK = "engage.lock"


class WorkspaceStatus(msgspec.Struct, rename="camel"):
    """The newest version, when it was committed and by whom."""

    version: int
    at: str | None
    actor: str


class SourceStatus(msgspec.Struct, rename="camel"):
    """A source of the newest version."""

    slug: str
    type: str
    enabled: bool
    write_keys: tuple[str, ...]


class DestinationStatus(msgspec.Struct, rename="camel"):
    """A destination and its messages by outcome. Up to `cursor` everything is settled, replays apart.

    `state` is delivering, failing, refusing, disabled, device or removed; `trouble` says why it fails and
    `since` from when on. `dead_letters` are those that are kept; of
    failed messages without one the content is lost or erased. `replaying` is what replays are still to
    send. `drain_seconds` is how long what is pending and replaying takes under Heap's limits, together
    with that of the destinations that share them; None without any.
    """

    slug: str
    state: str
    trouble: str
    since: str | None
    delivered: int
    discarded: int
    failed: int
    dead_letters: int
    pending: int
    replaying: int
    drain_seconds: int | None
    cursor: int


class LogStatus(msgspec.Struct, rename="camel"):
    """The numbers and times of the first and last message held; `first` is above `last` when none is."""

    first: int
    last: int
    messages: int
    since: str | None
    until: str | None


class DiskStatus(msgspec.Struct, rename="camel"):
    """Bytes on disk."""

    log: int
    delivery: int
    engage: int
    workspace: int
    refused: int
    total: int


class EngageStatus(msgspec.Struct, rename="camel"):
    """Whether audiences and computed traits are computed; `history` is bytes on disk."""

    running: bool
    history: int


class Status(msgspec.Struct, rename="camel"):
    """Everything `headgate status` shows. Destinations in trouble go first, the newest trouble before all."""

    workspace: WorkspaceStatus
    sources: list[SourceStatus]
    destinations: list[DestinationStatus]
    replays: list[Progress]
    log: LogStatus
    damage: list[Known]
    refused: dict[str, int]
    disk: DiskStatus
    engage: EngageStatus | None


def status(stored: Stored, catalog: Mapping[str, Kind]) -> Status:
    """The status of a data directory; counts may be of slightly different moments beside a server."""
    version = stored.newest
    facts = stored.facts()
    with closing(facts) if facts else nullcontext():
        return Status(
            workspace=WorkspaceStatus(
                version.number, iso_ms(version.at_ms) if version.number else None, version.actor
            ),
            sources=[
                SourceStatus(one.slug, one.type, one.enabled, one.write_keys)
                for one in stored.current.workspace.sources
            ],
            destinations=_destinations(stored, catalog, facts),
            replays=[one for one in progress(stored, facts) if one.ended_at is None],
            log=_log(stored.log),
            damage=list(known_damage(stored, facts)),
            refused=_refused(stored.refused),
            disk=_disk(stored.data_dir),
            engage=_engage(stored),
        )


def _destinations(
    stored: Stored, catalog: Mapping[str, Kind], facts: DeliveryReader | None
) -> list[DestinationStatus]:
    """Those of the newest version, and removed ones that something is still known of."""
    counted = _counted(facts)
    waiting = pending(stored)
    present = {one.slug: one for one in stored.current.workspace.destinations}
    ids = stored.current.destination_ids
    left = {
        slug: waiting.get(ids[slug], 0) + counted.get(ids[slug], _NOTHING).replaying
        for slug in present
    }
    drains = _drains_s(left, present, catalog)
    told = [
        _destination(
            stay,
            None if stay.last_version is not None else present[stay.slug],
            counted.get(stay.id, _NOTHING),
            waiting.get(stay.id, 0),
            drains.get(stay.slug) if stay.last_version is None else None,
        )
        for stay in stored.history
    ]
    shown = [one for one in told if one.state != REMOVED or _is_known_of(one)]
    return sorted(shown, key=lambda one: one.since or "", reverse=True)


class _Counted(msgspec.Struct, frozen=True):
    """What the facts say of one destination."""

    standing: Standing
    cursor: int = 0
    outcomes: Counter[str] = Counter()
    dead_letters: int = 0
    replaying: int = 0


_NOTHING = _Counted(Standing(DELIVERING, "", 0))


def _counted(facts: DeliveryReader | None) -> dict[int, _Counted]:
    if facts is None:
        return {}
    standings, cursors = facts.standings(), facts.cursors()
    letters = facts.dead_letter_counts()
    outcomes: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for tally in facts.tallies():
        outcomes[tally.destination][tally.outcome] += tally.standing
    replaying: Counter[int] = Counter()
    for replay in facts.replays():
        if replay.ended_at_ms is None:
            replaying[replay.destination] += replay.total - replay.settled
    return {
        id_: _Counted(
            standings.get(id_, _NOTHING.standing),
            cursors.get(id_, 0),
            outcomes[id_],
            letters.get(id_, 0),
            replaying[id_],
        )
        for id_ in cursors.keys() | outcomes.keys() | standings.keys() | letters.keys()
    }


def _destination(
    stay: DestinationStay,
    found: Destination | None,
    counted: _Counted,
    waiting: int,
    drain_s: int | None,
) -> DestinationStatus:
    state = _state(found, counted.standing)
    in_trouble = state == counted.standing.state and state != DELIVERING
    return DestinationStatus(
        slug=stay.slug,
        state=state,
        trouble=counted.standing.trouble if in_trouble else "",
        since=iso_ms(counted.standing.since_ms) if in_trouble else None,
        delivered=counted.outcomes[DELIVERED],
        discarded=counted.outcomes[DISCARDED],
        failed=counted.outcomes[FAILED],
        dead_letters=counted.dead_letters,
        pending=waiting,
        replaying=counted.replaying,
        drain_seconds=drain_s,
        cursor=counted.cursor,
    )


def _state(found: Destination | None, standing: Standing) -> str:
    if found is None:
        return REMOVED
    if not found.enabled:
        return "disabled"
    idle = found.connection_mode == DEVICE and standing.state == DELIVERING
    return DEVICE if idle else standing.state


def _drains_s(
    left: Mapping[str, int], present: Mapping[str, Destination], catalog: Mapping[str, Kind]
) -> dict[str, int | None]:
    """By destination: how long everything takes that goes out of its budget, whichever it is for."""
    budgets = {
        slug: catalog[one.metadata_id].budget(one.settings)
        for slug, one in present.items()
        if one.metadata_id in catalog
    }
    rows: Counter[str] = Counter()
    shared: dict[str, Budget] = {}
    for slug, budget in budgets.items():
        rows[budget.scope] += left[slug]
        shared[budget.scope] = strictest(shared.get(budget.scope, budget), budget)
    drains = {scope: Spending(budget).drain_s(rows[scope], 0) for scope, budget in shared.items()}
    return {slug: _rounded(drains[budget.scope]) for slug, budget in budgets.items()}


def _rounded(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _is_known_of(one: DestinationStatus) -> bool:
    settled = one.delivered or one.discarded or one.failed
    return bool(settled or one.dead_letters or one.pending or one.replaying)


def _log(directory: Path) -> LogStatus:
    with closing(sqlite_reader(directory)) as log:
        first, last = log.first_seq(), log.last_seq()
    if last < first:
        return LogStatus(first, last, 0, None, None)
    return LogStatus(
        first, last, last - first + 1, received_at(directory, first), received_at(directory, last)
    )


def _refused(path: Path) -> dict[str, int]:
    by_reason: dict[str, int] = {}
    for _, reason, _, n in refusal_counts(path):
        by_reason[reason] = by_reason.get(reason, 0) + n
    return by_reason


def _engage(stored: Stored) -> EngageStatus | None:
    """None where there is nothing to compute."""
    if not stored.current.workspace.engage.configured:
        return None
    directory = history_directory(stored.data_dir)
    lock = stored.data_dir / _ENGAGE_LOCK
    is_running = lock.exists() and is_held(lock)
    return EngageStatus(is_running, size_bytes(directory) if directory.exists() else 0)


def _disk(data_dir: Path) -> DiskStatus:
    parts = {
        "log": "log/*",
        "delivery": "delivery/*",
        "engage": "engage/**/*",
        "workspace": "workspace.db*",
    }
    sizes = {name: _size(data_dir, pattern) for name, pattern in parts.items()}
    return DiskStatus(
        **sizes, refused=_size(data_dir, "refused.db*"), total=_size(data_dir, "**/*")
    )


def _size(directory: Path, pattern: str) -> int:
    """Bytes of the files; one that vanishes while they are counted counts nothing."""
    total = 0
    for path in directory.glob(pattern):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
