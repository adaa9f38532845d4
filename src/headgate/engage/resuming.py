"""Resuming: takes out of the outbox what the log has already. Between Engage's store and log, at the start.

Engage may have died between the two, or the store may come from a backup in which the log was copied later.
The log drops what it is told twice for a day at least; this holds however much later a start is.
"""

from headgate.engage.reader import OutboxRow
from headgate.engage.store import EngageStore
from headgate.eventlog.block import id_hash
from headgate.eventlog.interface import LogReader
from headgate.spec.names import engage_source

_AT_ONCE = (
    1_000  # more than are handed over at once: behind so many that the log has not, it has none
)


def take_off(store: EngageStore, event_log: LogReader) -> int:
    """How many messages were taken off the outbox, since the log holds them."""
    n = 0
    while held := _held(store.outbox(_AT_ONCE), event_log):
        store.taken(held)
        n += len(held)
    return n


def _held(rows: list[OutboxRow], event_log: LogReader) -> list[int]:
    """Hashes only hint: where one is known, the log is asked for the message itself."""
    hashes = {id_hash(engage_source(one.destination), one.message_id) for one in rows}
    if not hashes or not event_log.find_any(hashes):
        return []
    return [
        one.number for one in rows if event_log.find(engage_source(one.destination), one.message_id)
    ]
