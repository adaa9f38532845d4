"""Retention removes whole segments, and only those that nobody needs any more; ids stay for their day."""

import os
from contextlib import closing
from pathlib import Path

import pytest
from log_dirs import LogDir, damage

from factories import NOW_MS, arrival
from headgate.clock import ManualClock
from headgate.eventlog.block import id_hash
from headgate.eventlog.interface import DUPLICATE
from headgate.eventlog.log import BlockLog
from headgate.eventlog.retention import retire
from headgate.eventlog.rewriting import alone_in
from headgate.eventlog.sealing import seal
from headgate.eventlog.space import held_bytes
from headgate.eventlog.sqlite import SqliteStorage, segment_paths

_DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    """Four segments of one message each, last written 40, 20, 2 and 0 days ago."""
    log = BlockLog(SqliteStorage(tmp_path, ManualClock(), max_segment_messages=1), ManualClock())
    for number in range(1, 5):
        log.append([arrival(f"m-{number}")])
    log.close()
    for (_, path), days in zip(segment_paths(tmp_path), (40, 20, 2, 0), strict=True):
        written_s = (NOW_MS - days * _DAY_MS) / 1000
        os.utime(path, (written_s, written_s))
    return tmp_path


def held(directory: Path) -> list[int]:
    """The first numbers of the segments that are left."""
    return [first_seq for first_seq, _ in segment_paths(directory)]


@pytest.mark.parametrize(
    ("settled_to", "days", "max_bytes", "left"),
    [
        pytest.param(4, 0, 0, [1, 2, 3, 4], id="no limits keep everything"),
        pytest.param(4, 30, 0, [2, 3, 4], id="30 days"),
        pytest.param(4, 10, 0, [3, 4], id="10 days"),
        pytest.param(4, 1, 0, [4], id="1 day leaves the one that is written"),
        pytest.param(1, 10, 0, [2, 3, 4], id="what is pending stays"),
        pytest.param(0, 1, 0, [1, 2, 3, 4], id="nothing settled, nothing removed"),
        pytest.param(4, 0, 1, [4], id="a cap removes the oldest first"),
        pytest.param(1, 0, 1, [2, 3, 4], id="a cap leaves what is pending"),
    ],
)
def test_old_and_settled_segments_are_removed(
    segments: Path, settled_to: int, days: int, max_bytes: int, left: list[int]
) -> None:
    """By age and by size, never what is pending or being written."""
    retire(segments, now_ms=NOW_MS, settled_to=settled_to, days=days, max_bytes=max_bytes)
    assert held(segments) == left


def test_the_last_day_is_kept_whatever_the_cap(segments: Path) -> None:
    """Message ids are known for 24 h, so younger segments stay."""
    for _, path in segment_paths(segments):
        os.utime(path, (NOW_MS / 1000, NOW_MS / 1000))
    retire(segments, now_ms=NOW_MS + _DAY_MS, settled_to=4, days=0, max_bytes=1)
    assert held(segments) == [1, 2, 3, 4]


# Sealed segments, under a cap


@pytest.fixture
def sealed(tmp_path: Path) -> LogDir:
    """Four sealed segments, 1 to 4, an hour between them, and an open one with 5; now is an hour later."""
    directory = LogDir(tmp_path / "sealed")
    for number in range(1, 6):
        now_ms = directory.clock.now_ms()
        directory.append([arrival(f"m-{number}", received_at_ms=now_ms)], rolled=number < 5)
        directory.clock.advance(3600)
    for first_seq in range(1, 5):
        seal(directory.path, first_seq)
    return directory


def retired(directory: LogDir, *, settled_to: int, days: int = 0, max_bytes: int = 0) -> list[str]:
    removed = retire(
        directory.path,
        now_ms=directory.clock.now_ms(),
        settled_to=settled_to,
        days=days,
        max_bytes=max_bytes,
    )
    return [path.name for path in removed]


def test_a_cap_takes_messages_before_their_day_but_not_their_ids(sealed: LogDir) -> None:
    """What is settled goes, duplicates of it are known all the same, and the audit finds nothing amiss."""
    assert retired(sealed, settled_to=2, max_bytes=1) == [
        "0000000000000001.sealed.db",
        "0000000000000002.sealed.db",
    ]
    assert [sealed.files_of(first_seq) for first_seq in (1, 2, 3)] == [
        {".ids"},
        {".ids"},
        {".ids", ".sealed.db"},
    ]
    assert damage(sealed) == []
    with closing(sealed.open()) as log:
        assert (log.first_seq(), log.lost()) == (3, [])
        assert [list(one) for one in log.append([arrival("m-1", "m-2", "m-3", "new")])] == [
            [DUPLICATE, DUPLICATE, DUPLICATE, 6]
        ]
        assert log.find("website", "m-1") == []
        assert log.find_any([id_hash("website", "m-1"), id_hash("website", "m-3")]) == [3]


def test_ids_go_when_their_day_is_over(sealed: LogDir) -> None:
    """Each file after its own newest id, also without a cap."""
    retired(sealed, settled_to=3, max_bytes=1)
    sealed.clock.advance(_DAY_MS // 1000 - 4 * 3600)
    assert retired(sealed, settled_to=3) == []
    assert [sealed.files_of(one) for one in (1, 2, 3)] == [set(), {".ids"}, {".ids"}]
    sealed.clock.advance(24 * 3600)
    assert retired(sealed, settled_to=3) == []
    assert [sealed.files_of(one) for one in (1, 2, 3)] == [set(), set(), set()]


def test_age_removes_a_segment_with_its_ids(sealed: LogDir) -> None:
    """A sealed segment is as old as its newest message, whenever it was sealed."""
    sealed.clock.advance(_DAY_MS // 1000 - 3 * 3600)
    assert retired(sealed, settled_to=5, days=1) == [
        f"{first_seq:016d}.sealed.db" for first_seq in (1, 2)
    ]
    assert [sealed.files_of(one) for one in (1, 2)] == [set(), set()]


def test_a_young_segment_that_is_not_sealed_stays(sealed: LogDir) -> None:
    """Its ids are nowhere else."""
    sealed.append([], rolled=True)
    os.utime(sealed.path / f"{5:016d}.db", (sealed.clock.now_ms() / 1000,) * 2)
    assert len(retired(sealed, settled_to=5, max_bytes=1)) == 4
    assert sealed.segments() == [f"{5:016d}.db", f"{6:016d}.db"]


def test_below_the_cap_everything_stays(sealed: LogDir) -> None:
    """As soon as less than a segment's room is left, the oldest goes. Ids do not count."""
    files = [path for path in sealed.path.iterdir() if path.suffix != ".ids"]
    weight = sum(path.stat().st_size for path in files)
    room = 1024 * 1024
    assert retired(sealed, settled_to=5, max_bytes=weight + room) == []
    assert len(retired(sealed, settled_to=5, max_bytes=weight + room - 1)) == 1


def test_a_segment_that_is_being_sealed_is_weighed_once(sealed: LogDir) -> None:
    """For a moment its files are there in both forms; what is still being made does not count either."""
    weighed = held_bytes(sealed.path)
    for name in (f"{1:016d}.db", f"{1:016d}.db-wal", f"{2:016d}.sealed.new", f"{2:016d}.ids.new"):
        (sealed.path / name).write_bytes(bytes(1024))
    assert held_bytes(sealed.path) == weighed


def test_nothing_is_retired_while_segments_are_rewritten(sealed: LogDir) -> None:
    """A segment must not come back after it was retired."""
    with alone_in(sealed.path):
        assert retired(sealed, settled_to=5, max_bytes=1) == []
    assert len(retired(sealed, settled_to=5, max_bytes=1)) == 4


def test_numbering_goes_on_after_segments_were_removed(segments: Path) -> None:
    """A log whose oldest segments are gone starts where the next one does, and ends where it did."""
    retire(segments, now_ms=NOW_MS, settled_to=4, days=10, max_bytes=0)
    log = BlockLog(SqliteStorage(segments, ManualClock()), ManualClock())
    assert (log.first_seq(), log.last_seq()) == (3, 4)
    assert log.append([arrival("m-5")]) == [range(5, 6)]
    log.close()
