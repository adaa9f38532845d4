"""The tail: messages whose profile is known and which no part holds yet, read from the log.

Archiving writes them into parts; everybody else who reads history reads them beside the parts.
"""

from collections.abc import Iterable, Iterator, Mapping

from headgate.engage.batch import Assigned, profiles_of
from headgate.engage.history.parts import day_of
from headgate.engage.history.rows import Row, row_of
from headgate.engage.observe import observe
from headgate.engage.reader import EngageReader
from headgate.engage.rules import Rules
from headgate.engage.violations import Violations
from headgate.eventlog.block import BrokenBlock, Entry
from headgate.eventlog.interface import LogReader
from headgate.spec.message import normalize
from headgate.spec.names import configured_source
from headgate.spec.repair import DECODE_ERRORS

_DAY_MS = 86_400_000
_BATCHES_AT_ONCE = 1_000
_RULES = Rules()  # configured identifiers are in the properties and traits that are kept anyway


def batches_in_turn(store: EngageReader, messages: int) -> Iterator[list[Assigned]]:
    """What is assigned and not known to be archived, in lists of about so many messages each."""
    taken: list[Assigned] = []
    n, after = 0, 0
    while found := store.assigned(after, _BATCHES_AT_ONCE):
        after = found[-1].first_seq
        for batch in found:
            taken.append(batch)
            n += batch.n
            if n >= messages:
                yield taken
                taken, n = [], 0
    if taken:
        yield taken


def rows_of(
    log: LogReader, batches: list[Assigned], archived: Mapping[str, int]
) -> Iterator[tuple[str, Row]]:
    """The day and the row of every message of these batches that belongs to somebody and is not archived.

    What the log does not hold any more, or not undamaged, is left out. `archived` is by day.
    """
    owners = _owners(batches)
    violations = Violations()  # counted when the message was read first
    days: dict[int, tuple[str, int]] = {}
    for entry in _entries(log, batches):
        profile = owners.get(entry.seq, 0)
        if not profile or entry.envelope.erased:
            continue
        received_at_ms = entry.envelope.received_at_ms
        number = received_at_ms // _DAY_MS
        if number not in days:
            day = day_of(received_at_ms)
            days[number] = day, archived.get(day, 0)
        day, archived_to = days[number]
        if entry.seq <= archived_to:
            continue
        try:
            message = normalize(entry.raw, entry.envelope, entry.given_id)
        except DECODE_ERRORS:
            continue
        observed = observe(
            message, entry.seq, configured_source(entry.envelope.source), _RULES, violations
        )
        yield day, row_of(profile, observed)


def end_of(batch: Assigned) -> int:
    """The number of a batch's last message."""
    return batch.first_seq + batch.n - 1


def _owners(batches: Iterable[Assigned]) -> dict[int, int]:
    return {
        seq: profile
        for batch in batches
        for seq, profile in enumerate(profiles_of(batch), batch.first_seq)
        if profile
    }


def _entries(log: LogReader, batches: list[Assigned]) -> Iterator[Entry]:
    """The log's messages from the first batch to the last; damaged blocks are passed over."""
    after, last = batches[0].first_seq - 1, end_of(batches[-1])
    while after < last:
        try:
            for block in log.blocks(after):
                if block.first_seq > last:
                    return
                after = block.last_seq
                yield from block.entries()
        except BrokenBlock as broken:
            after = max(after, broken.last_seq)
        else:
            return
