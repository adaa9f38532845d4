"""Retention removes whole segments, and only those that nobody needs any more."""

import os
from pathlib import Path

import pytest

from factories import NOW_MS, arrival
from headgate.clock import ManualClock
from headgate.eventlog.log import BlockLog
from headgate.eventlog.retention import retire
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


def test_numbering_goes_on_after_segments_were_removed(segments: Path) -> None:
    """A log whose oldest segments are gone starts where the next one does, and ends where it did."""
    retire(segments, now_ms=NOW_MS, settled_to=4, days=10, max_bytes=0)
    log = BlockLog(SqliteStorage(segments, ManualClock()), ManualClock())
    assert (log.first_seq(), log.last_seq()) == (3, 4)
    assert log.append([arrival("m-5")]) == [range(5, 6)]
    log.close()
