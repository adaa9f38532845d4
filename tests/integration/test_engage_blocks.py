"""The engine reads numbers, not blocks: sealing makes one block of several, of which it may have read some."""

from contextlib import closing
from pathlib import Path

from engage_dirs import EngageDir
from engage_reading import read_on
from headgate.engage.batch import profiles_of
from headgate.engage.profile import Identifier
from headgate.engage.reader import EngageReader
from headgate.eventlog.sealing import seal
from headgate.eventlog.sqlite import sqlite_reader
from headgate.stores import ENGAGE

ORDERS = {"name": "Orders", "definition": "event('Order Completed').count()"}


def test_a_block_that_has_grown_behind_the_engine_is_taken_from_where_it_was(
    tmp_path: Path,
) -> None:
    """Every message counts once, and is remembered once."""
    stored = EngageDir(tmp_path / "data")
    stored.configure(traits=[ORDERS])
    stored.track("Order Completed", "m-1")
    stored.track("Order Completed", "m-2")
    read_on(stored)
    stored.track("Order Completed", "m-3")
    stored.append(stored.say("track", "m-4", event="Order Completed"), segment_messages=3)
    seal(stored.path / "log", 1)
    with closing(sqlite_reader(stored.path / "log")) as log:
        assert next(log.blocks(2)).first_seq == 1
    read_on(stored)
    with closing(EngageReader(stored.path / ENGAGE)) as reader:
        ann = reader.find(Identifier("user_id", "ann"))
        assert ann is not None
        assert ann.values == {1: 4}
        remembered = [
            one.first_seq + at
            for one in reader.assigned(0, 9)
            for at, _ in enumerate(profiles_of(one))
        ]
    assert remembered == [1, 2, 3, 4]
