"""Reading the log for several couriers at once, while its files are rewritten."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from factories import NOW_MS, arrival
from headgate.clock import ManualClock
from headgate.delivery.shared_log import SharedLog
from headgate.eventlog.log import BlockReader
from headgate.eventlog.sealing import seal
from headgate.eventlog.sqlite import sqlite_log, sqlite_reader

MESSAGES = 30


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A closed segment of many blocks, one message in each."""
    with closing(sqlite_log(tmp_path, ManualClock(NOW_MS))) as log:
        for n in range(MESSAGES):
            log.append([arrival(f"m{n}")])
        log.roll()
    return tmp_path


@pytest.fixture
def reader(directory: Path) -> Iterator[BlockReader]:
    """The log, for reading."""
    with closing(sqlite_reader(directory)) as made:
        yield made


def test_sealing_hides_nothing_from_who_has_read_a_part(
    directory: Path, reader: BlockReader
) -> None:
    """The sealed block begins where a block of one message began, and holds all of them."""
    log = SharedLog(reader)
    read = [one.seq for messages in islice(log.after(0), 5) for one in messages]
    seal(directory, 1)
    read += [one.seq for messages in log.after(read[-1]) for one in messages]
    assert read == list(range(1, MESSAGES + 1))
    again = [one.seq for messages in SharedLog(reader).these([1, 2, 29]) for one in messages]
    assert (
        [one.seq for messages in log.these([1, 2, 29]) for one in messages] == again == [1, 2, 29]
    )
