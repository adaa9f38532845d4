"""What a data directory holds, at a glance: workspace, log, and how far each destination has come.

Counts of outcomes are the tallies that delivery keeps, which are quick to read; the audit counts every
message itself.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED
from headgate.eventlog.block import Block
from headgate.eventlog.refused import refusal_counts
from headgate.eventlog.sqlite import sqlite_reader
from headgate.eventlog.survey import survey
from headgate.records.audit import pending
from headgate.records.stored import Stored
from headgate.spec.timestamps import iso_ms
from headgate.workspace.model import Destination


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
    """A destination and its messages by outcome. Up to `cursor` everything is settled."""

    slug: str
    state: str
    delivered: int
    discarded: int
    failed: int
    pending: int
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
    workspace: int
    refused: int
    total: int


class Status(msgspec.Struct, rename="camel"):
    """Everything `headgate status` shows."""

    workspace: WorkspaceStatus
    sources: list[SourceStatus]
    destinations: list[DestinationStatus]
    log: LogStatus
    refused: dict[str, int]
    disk: DiskStatus


def status(stored: Stored) -> Status:
    """The status of a data directory; counts may be of slightly different moments beside a server."""
    version = stored.newest
    return Status(
        workspace=WorkspaceStatus(
            version.number, iso_ms(version.at_ms) if version.number else None, version.actor
        ),
        sources=[
            SourceStatus(one.slug, one.type, one.enabled, one.write_keys)
            for one in stored.current.workspace.sources
        ],
        destinations=list(_destinations(stored)),
        log=_log(stored.log),
        refused=_refused(stored.refused),
        disk=_disk(stored.data_dir),
    )


def _destinations(stored: Stored) -> Iterator[DestinationStatus]:
    """Those of the newest version, and removed ones that something is still known of."""
    counts: dict[tuple[int, str], int] = {}
    cursors: dict[int, int] = {}
    facts = stored.facts()
    if facts is not None:
        with closing(facts):
            cursors = facts.cursors()
            for one in facts.tallies():
                kind = one.destination, one.outcome
                counts[kind] = counts.get(kind, 0) + one.standing
    waiting = pending(stored)
    present = {one.slug: one for one in stored.current.workspace.destinations}
    for stay in stored.history:
        removed = stay.last_version is not None
        found = DestinationStatus(
            slug=stay.slug,
            state="removed" if removed else _state(present[stay.slug]),
            delivered=counts.get((stay.id, DELIVERED), 0),
            discarded=counts.get((stay.id, DISCARDED), 0),
            failed=counts.get((stay.id, FAILED), 0),
            pending=waiting.get(stay.id, 0),
            cursor=cursors.get(stay.id, 0),
        )
        if not removed or found.delivered or found.discarded or found.failed or found.pending:
            yield found


def _state(destination: Destination) -> str:
    return destination.connection_mode if destination.enabled else "disabled"


def _log(directory: Path) -> LogStatus:
    with closing(sqlite_reader(directory)) as log:
        first, last = log.first_seq(), log.last_seq()
    if last < first:
        return LogStatus(first, last, 0, None, None)
    return LogStatus(
        first, last, last - first + 1, _received_at(directory, first), _received_at(directory, last)
    )


def _received_at(directory: Path, seq: int) -> str | None:
    """When the first readable block from here on was received."""
    blocks = (item for item in survey(directory, seq - 1) if isinstance(item, Block))
    block = next(blocks, None)
    return iso_ms(block.received_at_ms) if block else None


def _refused(path: Path) -> dict[str, int]:
    by_reason: dict[str, int] = {}
    for _, reason, _, n in refusal_counts(path):
        by_reason[reason] = by_reason.get(reason, 0) + n
    return by_reason


def _disk(data_dir: Path) -> DiskStatus:
    parts = {"log": "log/*", "delivery": "delivery/*", "workspace": "workspace.db*"}
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
