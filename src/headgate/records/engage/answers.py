"""What became of tellings: the outcomes of many of Engage's messages at once, without their stories."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, suppress
from typing import NamedTuple

import msgspec

from headgate.delivery.facts import REPLAYED
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.block import Block, BrokenBlock, id_hash
from headgate.eventlog.log import BlockReader
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.stored import Stored
from headgate.records.trace import PENDING
from headgate.spec.names import engage_source


class Sought(NamedTuple):
    """A message of Engage's, by the destination that it is for."""

    destination: str
    message_id: str


class Answer(msgspec.Struct, frozen=True):
    """Where the message stands. `status` is what the destination answered, 0 when it was never asked or
    did not answer; `at_ms` is when the message was settled, 0 before."""

    outcome: str
    reason: str = ""
    status: int = 0
    at_ms: int = 0


def answers(stored: Stored, sought: Iterable[Sought]) -> dict[Sought, Answer]:
    """What became of each that a destination of today was told; one that is not in the log yet is pending.

    One that the log has let go of is pending too, for all that is known: callers know when it was told.
    """
    ids = stored.current.destination_ids
    wanted = {_hash(one): one for one in sought if one.destination in ids}
    facts = stored.facts()
    found = dict.fromkeys(wanted.values(), Answer(PENDING))
    if facts is None:
        return found
    with closing(facts), closing(sqlite_reader(stored.log)) as log:
        statuses = _Statuses(facts)
        for hashed, seq in _places(log, wanted):
            one = wanted[hashed]
            found[one] = _answer(facts, statuses, ids[one.destination], seq)
    return found


def _hash(one: Sought) -> int:
    """What is looked for. That two of Engage's messages share one of 64 bits is not to be expected."""
    return id_hash(engage_source(one.destination), one.message_id)


def _places(log: BlockReader, hashes: Collection[int]) -> Iterator[tuple[int, int]]:
    """The messages with these hashes and their numbers, ascending, a block at a time."""
    block: Block | None = None
    for seq in log.find_any(hashes) if hashes else ():
        with suppress(BrokenBlock):
            if block is None or seq > block.last_seq:
                block = next(log.blocks(seq - 1), None)
            if block is not None and seq >= block.first_seq:
                yield block.id_hashes[seq - block.first_seq], seq


def _answer(facts: DeliveryReader, statuses: "_Statuses", destination: int, seq: int) -> Answer:
    outcomes = facts.outcomes_of(destination, seq)
    if not outcomes or outcomes[-1].outcome == REPLAYED:
        return Answer(PENDING)
    last = outcomes[-1]
    return Answer(last.outcome, last.reason, statuses.of(last.attempt_id), last.at_ms)


class _Statuses:
    """What requests were answered, each looked up once: many messages go in one."""

    def __init__(self, facts: DeliveryReader) -> None:
        self._facts = facts
        self._known: dict[int, int] = {}

    def of(self, attempt: int | None) -> int:
        """The status; 0 when there was no answer."""
        if attempt is None:
            return 0
        if attempt not in self._known:
            found = self._facts.attempt(attempt)
            self._known[attempt] = found.status if found else 0
        return self._known[attempt]
