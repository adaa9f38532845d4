"""Damage to the log that is known without looking through it. For status and trace; the audit looks."""

from collections.abc import Iterator
from contextlib import closing

import msgspec

from headgate.delivery.facts import FAILED
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.resuming import resume
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
    """What delivery could not read when it came there, and what a start would miss now."""
    met = set(_met_by_delivery(stored, facts)) if facts else set()
    missed = [
        one
        for one in _missed(stored, facts)
        if not any(known.first <= one.first and one.last <= known.last for known in met)
    ]
    return sorted([*met, *missed])


def _missed(stored: Stored, facts: DeliveryReader | None) -> Iterator[Known]:
    """Missing segments, an end that is missing, and damage close to it."""
    seen_to = max(facts.cursors().values(), default=0) if facts else 0
    witness = read_witness(stored.log)
    with closing(sqlite_reader(stored.log)) as log:
        last_held = log.last_seq()
    for first, last in resume(stored.log, witness, seen_to).lost:
        is_end = first > last_held
        yield Known(
            first,
            last,
            "the end of the log is missing" if is_end else "they are missing or damaged",
        )


def _met_by_delivery(stored: Stored, facts: DeliveryReader) -> Iterator[Known]:
    for stay in stored.history:
        for _, detail, runs in facts.settled_for(stay.id, FAILED, _UNREADABLE, 0, MAX_MS):
            yield from (Known(run.start, run.stop - 1, detail) for run in runs)
