"""How many messages of a user are held here. For whoever is about to forget them.

segments_holding (columns) → survey → hashes → gist        and dead letters that the log has let go
"""

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from headgate.eventlog.block import Block, user_hashes
from headgate.eventlog.erasing import segments_holding
from headgate.eventlog.sqlite import segment_paths, sqlite_reader
from headgate.eventlog.survey import survey
from headgate.records.gist import gist
from headgate.records.stored import Stored

_ANY_NUMBER = 2**63 - 1


def held_of(stored: Stored, user_id: str) -> int:
    """Messages with this userId, to the letter, in the log or kept as dead letters; erased ones are none.

    Messages that cannot be read are not counted.
    """
    blocks = _blocks(stored, user_id)
    return sum(_held_in(block, user_id) for block in blocks) + _letters(stored, user_id)


def _blocks(stored: Stored, user_id: str) -> Iterator[Block]:
    """The blocks of every segment that holds the user's hash."""
    segments = [first_seq for first_seq, _ in segment_paths(stored.log)]
    for first_seq in segments_holding(stored.log, {user_id: _ANY_NUMBER}):
        next_segment = min((one for one in segments if one > first_seq), default=_ANY_NUMBER)
        for item in survey(stored.log, first_seq - 1):
            if item.first_seq >= next_segment:
                break
            if isinstance(item, Block):
                yield item


def _held_in(block: Block, user_id: str) -> int:
    """Hashes only hint at a user: the messages themselves say whose they are."""
    (hashed,) = user_hashes([user_id])
    places = np.flatnonzero(np.asarray(block.user_hashes) == hashed).tolist()
    entries = (block.entry(block.first_seq + at) for at in places)
    return sum(not one.envelope.erased and gist(one).user_id == user_id for one in entries)


def _letters(stored: Stored, user_id: str) -> int:
    """Messages that the log has let go, and dead letters keep; one may be kept for several destinations."""
    facts = stored.facts()
    if facts is None:
        return 0
    with closing(facts), closing(sqlite_reader(stored.log)) as log:
        first_held = log.first_seq()
        return len({one.seq for one in facts.dead_letters(user_id=user_id) if one.seq < first_held})
