"""The messages behind a question or a figure, one line for each of their destinations. For the command `find`."""

from collections import deque
from collections.abc import Iterable
from contextlib import closing, nullcontext, suppress

import msgspec

from headgate.eventlog.block import BrokenBlock, Entry, id_hash
from headgate.eventlog.refused import refusals_of
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.criteria import Criteria
from headgate.records.fit import Fit
from headgate.records.gist import gist
from headgate.records.selection import Selection
from headgate.records.stored import Stored
from headgate.spec.names import is_imported
from headgate.spec.timestamps import iso_ms


class Found(msgspec.Struct, frozen=True, rename="camel"):
    """One message at one destination. `event` and `user_id` are "" where the message has none."""

    received_at: str
    position: int
    message_id: str
    source: str
    type: str
    event: str
    user_id: str
    destination: str
    outcome: str
    reason: str


class Finding(msgspec.Struct, frozen=True):
    """The newest that fit, newest first. `more`: there are others. `lost`: messages nobody can read.

    `refused` are those of the ids asked for under which a message was refused at the door, `imported`
    those of messages that were imported, and so are for no destination.
    """

    messages: list[Found]
    more: bool
    lost: int
    refused: list[str]
    imported: list[str]


def find(stored: Stored, criteria: Criteria, limit: int) -> Finding:
    """The newest `limit` that fit; raises `criteria.Unknown`.

    Messages that the log has let go are found as long as a dead letter keeps them.
    """
    criteria.check(stored)
    facts = stored.facts()
    with closing(facts) if facts else nullcontext():
        if facts is not None:
            facts.freeze()
        selection = Selection(stored, facts, criteria)
        found: list[Found] = []
        for window in selection.newest_first():
            found += _newest(window, selection.slugs, limit + 1 - len(found))
            if len(found) > limit:
                break
    refused = [one for one in criteria.ids if any(refusals_of(stored.refused, one))]
    imported = _imported(stored, criteria.ids)
    return Finding(found[:limit], len(found) > limit, selection.lost, refused, imported)


def _imported(stored: Stored, ids: tuple[str, ...]) -> list[str]:
    """Those of the ids under which the log holds an imported message."""
    sources = [source for source in stored.sources if is_imported(source)]
    hashes = {id_hash(source, one) for source in sources for one in ids}
    if not hashes:
        return []
    held: set[str] = set()
    with closing(sqlite_reader(stored.log)) as log:
        for seq in log.find_any(hashes):
            with suppress(KeyError, BrokenBlock):
                entry = log.entry(seq)
                held |= {gist(entry).message_id} if is_imported(entry.envelope.source) else set()
    return [one for one in ids if one in held]


def _newest(window: Iterable[list[Fit]], slugs: dict[int, str], room: int) -> list[Found]:
    """The last ones of the window; what falls out of it on the way is not held on to."""
    newest: deque[tuple[int, Fit]] = deque(maxlen=room)
    for fits in window:
        newest.extend(sorted(((seq, fit) for fit in fits for seq in fit.seqs), key=_place))
    return [_found(fit.holder.entry(seq), fit, slugs) for seq, fit in reversed(newest)]


def _place(one: tuple[int, Fit]) -> tuple[int, int]:
    """By number; the destinations of one message in the order of their ids once it is reversed."""
    seq, fit = one
    return seq, -fit.destination


def _found(entry: Entry, fit: Fit, slugs: dict[int, str]) -> Found:
    said = gist(entry)
    return Found(
        received_at=iso_ms(entry.envelope.received_at_ms),
        position=entry.seq,
        message_id=said.message_id,
        source=entry.envelope.source,
        type=said.type,
        event=said.event,
        user_id=said.user_id,
        destination=slugs[fit.destination],
        outcome=fit.outcome,
        reason=fit.reason,
    )
