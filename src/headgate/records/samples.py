"""The newest messages of a source, one message by its id, and how fast a source is sending. For pages with examples.

Looks at the end of the log only, so that it costs the same however long the log is.
"""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, suppress

from headgate.eventlog.block import BrokenBlock, Entry
from headgate.eventlog.log import BlockReader
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.gist import gist
from headgate.records.stored import Stored

LOOKS_AT = 2_000  # messages
_RATE_OVER_MS = 300_000
_MINUTE_MS = 60_000
_SECOND_MS = 1_000


def newest(stored: Stored, source: str, limit: int) -> list[Entry]:
    """The newest messages of a source among the last ones of the log, newest first."""
    of_source = (one for one in _last(stored) if one.envelope.source == source)
    return [*deque(of_source, maxlen=limit)][::-1]


def per_minute(stored: Stored, now_ms: int) -> dict[str, float]:
    """About how many messages a minute each source has sent in the last five; silent ones are not in it."""
    last = list(_last(stored))
    over_ms = _RATE_OVER_MS
    if len(last) >= LOOKS_AT:  # more may have come in that time than was looked at
        over_ms = min(over_ms, max(_SECOND_MS, now_ms - last[0].envelope.received_at_ms))
    recent = Counter(
        one.envelope.source for one in last if one.envelope.received_at_ms > now_ms - over_ms
    )
    return {source: count * _MINUTE_MS / over_ms for source, count in recent.items()}


def by_id(
    stored: Stored, sources: list[str], message_id: str, position: int | None = None
) -> Entry | None:
    """The newest message of these sources with this id; None when the log holds none.

    The whole log's ids are searched, unless it stands at this `position`.
    """
    with closing(sqlite_reader(stored.log)) as log:
        if position is not None and (found := _at(log, position, sources, message_id)):
            return found
        for source in sources:
            for seq in reversed(log.find(source, message_id)):
                return log.entry(seq)
    return None


def _at(log: BlockReader, position: int, sources: list[str], message_id: str) -> Entry | None:
    try:
        entry = log.entry(position)
    except (KeyError, BrokenBlock):
        return None
    is_meant = entry.envelope.source in sources and gist(entry).message_id == message_id
    return entry if is_meant else None


def _last(stored: Stored) -> Iterator[Entry]:
    """The last messages of the log, oldest first; up to the first that cannot be read."""
    with closing(sqlite_reader(stored.log)) as log, suppress(BrokenBlock):
        for block in log.blocks(max(0, log.last_seq() - LOOKS_AT)):
            yield from block.entries()
