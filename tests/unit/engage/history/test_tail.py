"""The tail of history: what is read of the log again, and what is passed over."""

from collections.abc import Iterator

import factories
from headgate.clock import ManualClock
from headgate.engage.batch import Assigned, assigned
from headgate.engage.history.tail import rows_of
from headgate.eventlog.block import Block, BrokenBlock
from headgate.eventlog.interface import LogReader
from headgate.eventlog.memory import memory_log

DAY = "2023-11-14"  # of factories.NOW_MS


class Damaged:
    """A log of which one block cannot be read."""

    def __init__(self, whole: LogReader, seq: int) -> None:
        self._whole = whole
        self._seq = seq

    def blocks(self, after_seq: int) -> Iterator[Block]:
        """As the log gives them, up to the damage."""
        for block in self._whole.blocks(after_seq):
            if block.first_seq <= self._seq <= block.last_seq:
                raise BrokenBlock(block.first_seq, block.last_seq, "torn")
            yield block

    def __getattr__(self, name: str) -> object:
        return getattr(self._whole, name)


def _log(*ids: str, erased: str = "") -> LogReader:
    """A block for each message."""
    log = memory_log(ManualClock(factories.NOW_MS))
    for one in ids:
        log.append([factories.arrival(one, erased=one == erased)])
    return log


def _seqs(log: LogReader, batches: list[Assigned], archived: dict[str, int]) -> list[int]:
    return [row[0] for _, row in rows_of(log, batches, archived)]


def test_rows_have_their_day_and_their_owner() -> None:
    """Batches need not begin or end where blocks do; what lies between or behind them is not asked for."""
    log = _log("a", "b", "c", "d", "e")
    found = list(rows_of(log, [assigned(1, [7, 0]), assigned(4, [8])], {}))
    assert [(day, row[:2], row[4]) for day, row in found] == [
        (DAY, (1, 7), "a"),
        (DAY, (4, 8), "d"),
    ]


def test_what_is_archived_is_not_read_again() -> None:
    """By the day on which it was received."""
    log = _log("a", "b", "c")
    batches = [assigned(1, [7, 7, 7])]
    assert _seqs(log, batches, {DAY: 2}) == [3]
    assert _seqs(log, batches, {"2023-11-13": 2}) == [1, 2, 3]


def test_what_was_erased_meanwhile_is_left_out() -> None:
    """Only its type and id are left."""
    assert _seqs(_log("a", "b", erased="a"), [assigned(1, [7, 7])], {}) == [2]


def test_damage_costs_what_is_damaged_and_nothing_behind_it() -> None:
    """The log names the stretch."""
    log = Damaged(_log("a", "b", "c", "d"), 2)
    assert _seqs(log, [assigned(1, [7, 7, 7, 7])], {}) == [1, 3, 4]  # type: ignore[arg-type]


def test_what_retention_took_is_gone() -> None:
    """The log begins later than the batch."""
    assert _seqs(_log("a"), [assigned(1, [7]), assigned(2, [7, 7])], {}) == [1]
