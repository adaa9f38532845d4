"""Damage to the log that is known without looking through it. For status and trace; the audit looks."""

from collections.abc import Iterator
from contextlib import closing

import msgspec

from headgate.delivery.facts import FAILED
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.sqlite import read_witness, sqlite_reader
from headgate.records.stored import Stored
from headgate.spec.timestamps import MAX_MS

_UNREADABLE = "unreadable_message"


class Known(msgspec.Struct, frozen=True, order=True):
    """Numbers whose messages are lost."""

    first: int
    last: int
    why: str


def known_damage(stored: Stored, facts: DeliveryReader | None) -> list[Known]:
    """What delivery could not read when it came there, and an end of the log that is missing."""
    found = set(_met_by_delivery(stored, facts)) if facts else set()
    witness = read_witness(stored.log)
    cursors = facts.cursors().values() if facts else ()
    missing_to = max(*cursors, witness[0] if witness else 0, 0)
    with closing(sqlite_reader(stored.log)) as log:
        last_held = log.last_seq()
    if missing_to > last_held:
        found.add(Known(last_held + 1, missing_to, "the end of the log is missing"))
    return sorted(found)


def _met_by_delivery(stored: Stored, facts: DeliveryReader) -> Iterator[Known]:
    for stay in stored.history:
        for _, detail, runs in facts.settled_for(stay.id, FAILED, _UNREADABLE, 0, MAX_MS):
            yield from (Known(run.start, run.stop - 1, detail) for run in runs)
