"""What pages say of destinations and of the log: figures that cost the same however long the log is.

Outcomes are the tallies that delivery keeps; what is pending, and why, is what the couriers know. `records.status`
counts what is pending message by message, which takes longer the more there is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from headgate.app.visit import Visit
from headgate.delivery.engine import DestinationStatus
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED
from headgate.delivery.reader import DeliveryReader
from headgate.delivery.routing import DEVICE
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.flow import Flows
from headgate.records.outcomes import PENDING
from headgate.records.stored import Stored
from headgate.records.stretches import received_at
from headgate.stores import DELIVERY, LOG
from headgate.workspace.model import Destination
from headgate.workspace.versions import ReadyVersion

DELIVERING = "delivering"
FAILING = "failing"


class Doing(NamedTuple):
    """A destination and its messages by outcome.

    `trouble` says why it fails, when it does, and `since_ms` from when on, 0 when that is not known.
    """

    slug: str
    name: str
    mode: str
    state: str
    trouble: str
    since_ms: int
    delivered: int
    discarded: int
    failed: int
    pending: int


class LogFigures(NamedTuple):
    """How many messages the log holds, and when the last one arrived, in ISO 8601."""

    messages: int
    last_at: str | None


def stored_in(visit: Visit) -> Stored:
    """The data directory as the records read it."""
    outside = visit.parts.outside
    return Stored(
        outside.data_dir,
        visit.workspace,
        catalog=visit.parts.catalog,
        environment=outside.environment,
    )


def destinations_doing(visit: Visit, current: ReadyVersion) -> dict[str, Doing]:
    """Every destination of a version, by slug."""
    counts = _outcomes(visit.parts.outside.data_dir / DELIVERY)
    return {
        one.slug: _doing(
            visit, one, counts[current.destination_ids[one.slug]], _waiting(visit, one)
        )
        for one in current.workspace.destinations
    }


@contextmanager
def facts_of(stored: Stored) -> Iterator[DeliveryReader | None]:
    """What delivery has recorded, as of one moment; None while there is nothing."""
    facts = stored.facts()
    with closing(facts) if facts else nullcontext():
        if facts:
            facts.freeze()
        yield facts


def ids_of(stored: Stored, slug: str) -> list[int]:
    """The numbers of a destination and of those that had its slug before, as the audit counts them."""
    return [stay.id for stay in stored.history if stay.slug == slug]


def doing_in(visit: Visit, stored: Stored, found: Flows) -> dict[str, Doing]:
    """Every destination of the newest version by slug, with the outcomes of a period."""
    return {
        one.slug: _doing(visit, one, flow.outcomes, flow.outcomes[PENDING])
        for one in stored.current.workspace.destinations
        for flow in [found.of(ids_of(stored, one.slug))]
    }


def log_figures(visit: Visit) -> LogFigures:
    """The log as it is now."""
    directory = visit.parts.outside.data_dir / LOG
    with closing(sqlite_reader(directory)) as log:
        first, last = log.first_seq(), log.last_seq()
    messages = max(0, last - first + 1)
    return LogFigures(messages, received_at(directory, last) if messages else None)


def _outcomes(path: Path) -> defaultdict[int, Counter[str]]:
    """Messages by outcome, by the destination's id."""
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    if path.exists():
        with closing(DeliveryReader(path)) as facts:
            for tally in facts.tallies():
                counts[tally.destination][tally.outcome] += tally.standing
    return counts


def _waiting(visit: Visit, one: Destination) -> int:
    """How much is pending, as the couriers know."""
    standing = next((known for known in visit.standing if known.slug == one.slug), None)
    return standing.pending + standing.unread if standing else 0


def _doing(visit: Visit, one: Destination, outcomes: Counter[str], pending: int) -> Doing:
    standing = next((known for known in visit.standing if known.slug == one.slug), None)
    state, trouble = _state(one, standing)
    return Doing(
        one.slug,
        one.name,
        one.connection_mode,
        state,
        trouble,
        standing.since_ms if standing and trouble else 0,
        outcomes[DELIVERED],
        outcomes[DISCARDED],
        outcomes[FAILED],
        pending,
    )


def _state(one: Destination, standing: DestinationStatus | None) -> tuple[str, str]:
    """In a word, and why it fails if it does; outcomes that cannot be recorded are a failure too."""
    if not one.enabled:
        return "disabled", ""
    if standing is not None and standing.trouble:
        return FAILING if standing.state == DELIVERING else standing.state, standing.trouble
    return DEVICE if one.connection_mode == DEVICE else DELIVERING, ""
