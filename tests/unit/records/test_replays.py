"""Replays as they are asked for and followed: a request that survives, and progress from the facts."""

import stat
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from data_dirs import NOW_MS, DataDir, destination
from headgate.delivery.facts import DELIVERED, DISCARDED
from headgate.delivery.positions import pack
from headgate.delivery.replays import ReplayRequest, Wanted, decode
from headgate.records.replays import Became, Progress, ask, new_name, progress


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with one destination and three delivered messages."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    data_dir.accept("a", "b", "c")
    data_dir.settle(DELIVERED, 1, 2, 3, cursor=3)
    return data_dir


def request(name: str) -> ReplayRequest:
    """Three messages to be sent again."""
    wanted = Wanted({"ann": pack([1])}, pack([2, 3]))
    return ReplayRequest(name, NOW_MS, "everything", 3, {1: wanted})


def followed(data_dir: DataDir) -> list[Progress]:
    with data_dir.opened() as opened:
        facts = opened.facts()
        with closing(facts) if facts else nullcontext():
            return progress(opened, facts)


def test_a_request_is_whole_and_private(stored: DataDir) -> None:
    """In a directory and a file of its owner's, without a trace of its writing."""
    path = ask(stored.path, request("first"))
    assert decode(path.read_bytes()) == request("first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["first.request"]


def test_names_are_in_the_order_of_time_and_all_different() -> None:
    """Sorted by name is sorted by when they were asked for."""
    names = [new_name(NOW_MS + ms, chance) for ms, chance in ((0, "ff"), (1, "00"), (60_000, "00"))]
    assert names == sorted(names)
    assert names[0] == "20231114-221320000-ff"


def test_what_nobody_has_taken_up_waits(stored: DataDir) -> None:
    """With all that it asks for."""
    ask(stored.path, request("first"))
    (one,) = followed(stored)
    assert (one.name, one.destination, one.state) == ("first", "heap", "waiting")
    assert (one.total, one.settled, one.ended_at) == (3, 0, None)


def test_what_is_recorded_counts_while_the_request_is_still_there(stored: DataDir) -> None:
    """Between the record and the removal of the file it is told once."""
    ask(stored.path, request("first"))
    stored.replay("first", 1, 2, settled=1)
    (one,) = followed(stored)
    assert (one.state, one.total, one.settled, one.ended_at) == ("open", 2, 1, None)


def test_the_newest_come_first(stored: DataDir) -> None:
    """Those that wait, then those under way and ended, by the time of asking."""
    stored.replay("first", 1, settled=1)
    stored.clock.advance(60)
    stored.replay("second", 2)
    ask(stored.path, request("third"))
    assert [(one.name, one.state) for one in followed(stored)] == [
        ("third", "waiting"),
        ("second", "open"),
        ("first", "ended"),
    ]


def test_a_file_that_is_no_request_hurts_nobody(stored: DataDir) -> None:
    """It is passed over."""
    ask(stored.path, request("first"))
    (stored.path / "replays" / "odd.request").write_bytes(b"\x00")
    assert [one.name for one in followed(stored)] == ["first"]


def test_a_replay_says_what_became_of_its_messages(stored: DataDir) -> None:
    """By outcome and reason, those of other replays apart."""
    stored.replay("first", 1, 2, settled=2)
    stored.settle(DELIVERED, 1)
    stored.give_up(2)
    stored.replay("second", 3, settled=1)
    stored.settle(DISCARDED, 3, reason="consent")
    found = {one.name: one.outcomes for one in whole(stored)}
    assert found == {
        "first": [Became("delivered", "", 1), Became("failed", "refused", 1)],
        "second": [Became("discarded", "consent", 1)],
    }
    assert [one.outcomes for one in followed(stored)] == [[], []]
    assert [one.name for one in whole(stored, "second")] == ["second"]


def test_what_a_replay_has_still_to_send_is_pending(stored: DataDir) -> None:
    """Whatever outcome it had before."""
    stored.replay("first", 1, 2, 3, settled=1)
    stored.settle(DELIVERED, 1)
    assert whole(stored)[0].outcomes == [Became("pending", "", 2), Became("delivered", "", 1)]


def whole(data_dir: DataDir, name: str = "") -> list[Progress]:
    """The replays with what became of their messages."""
    with data_dir.opened() as opened:
        facts = opened.facts()
        with closing(facts) if facts else nullcontext():
            return progress(opened, facts, name=name, with_outcomes=True)
