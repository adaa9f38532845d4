"""What retention has removed is known from what was lost, at every start and to everybody who looks."""

from contextlib import closing
from pathlib import Path

import pytest
from log_dirs import LogDir, damage, seqs

from data_dirs import DataDir
from factories import NOW_MS, arrival
from headgate.eventlog import survey as surveying
from headgate.eventlog.resuming import resume
from headgate.eventlog.retention import retire
from headgate.eventlog.retired import mark_path, retired_to
from headgate.eventlog.segments import open_segment, segment_paths
from headgate.eventlog.witness import read_witness
from headgate.records.damage import Known, known_damage
from processes import Gateway

LONG_AFTER_MS = NOW_MS * 2
MISSING = "the messages are missing"


@pytest.fixture
def log_dir(tmp_path: Path) -> LogDir:
    """Segments 1 to 3, 4 to 6 and, open, 7 to 9, with one message in each block."""
    directory = LogDir(tmp_path / "log")
    directory.append_each("a", "b", "c", rolled=True)
    directory.append_each("d", "e", "f", rolled=True)
    directory.append_each("g", "h", "i")
    return directory


def lost(directory: LogDir) -> list[tuple[int, int]]:
    """What a start misses."""
    with closing(directory.open()) as log:
        return log.lost()


def lose(directory: LogDir, *first_seqs: int) -> None:
    """The segments' files are gone, by nobody's leave."""
    for first_seq in first_seqs:
        for path in directory.path.glob(f"{first_seq:016d}.*"):
            path.unlink()


def retired(directory: LogDir, settled_to: int) -> list[Path]:
    return retire(directory.path, now_ms=LONG_AFTER_MS, settled_to=settled_to, days=1, max_bytes=0)


def test_a_new_log_has_retired_nothing(tmp_path: Path) -> None:
    """The mark is there before the first message is."""
    with closing(LogDir(tmp_path / "log").open()):
        assert mark_path(tmp_path / "log").exists()
    assert retired_to(tmp_path / "log") == 0


def test_a_missing_oldest_segment_is_told_at_every_start(log_dir: LogDir) -> None:
    """And by the survey; nothing of it was retired."""
    lose(log_dir, 1)
    assert lost(log_dir) == lost(log_dir) == [(1, 3)]
    assert damage(log_dir) == [(1, 3, MISSING)]
    assert seqs(log_dir) == [4, 5, 6, 7, 8, 9]


def test_only_what_is_missing_behind_the_retired_is_lost(log_dir: LogDir) -> None:
    """Retention took the first segment, an accident the second."""
    assert len(retired(log_dir, settled_to=3)) == 1
    assert (lost(log_dir), damage(log_dir)) == ([], [])
    lose(log_dir, 4)
    assert lost(log_dir) == [(4, 6)]
    assert damage(log_dir) == [(4, 6, MISSING)]


def test_the_loss_of_all_segments_is_told_for_good(log_dir: LogDir) -> None:
    """Also once the log goes on above them."""
    retired(log_dir, settled_to=3)
    lose(log_dir, 4, 7)
    assert damage(log_dir) == [(4, 9, "the end of the log is missing")]
    assert lost(log_dir) == [(4, 9)]
    log_dir.append_each("j")
    assert lost(log_dir) == lost(log_dir) == [(4, 9)]
    assert damage(log_dir) == [(4, 9, MISSING)]
    assert seqs(log_dir) == [10]


def test_a_loss_behind_a_retired_segment_is_still_told(log_dir: LogDir) -> None:
    """The mark ends where the segment did, not where the next one begins, until that one goes, too."""
    lose(log_dir, 4)
    retired(log_dir, settled_to=6)
    assert (lost(log_dir), damage(log_dir)) == ([(4, 6)], [(4, 6, MISSING)])
    log_dir.append([arrival("j")], rolled=True)
    retired(log_dir, settled_to=10)
    assert (lost(log_dir), damage(log_dir)) == ([], [])


def test_a_missing_segment_before_one_that_cannot_be_read_is_told(log_dir: LogDir) -> None:
    """Each range for itself."""
    lose(log_dir, 1, 4)
    (log_dir.path / f"{4:016d}.db").write_bytes(b"nothing of the kind" * 1000)
    assert lost(log_dir) == [(1, 6)]
    assert [(first, last) for first, last, _ in damage(log_dir)] == [(1, 3), (4, 6)]


def test_all_that_is_settled_may_go(log_dir: LogDir) -> None:
    """What is left is an open segment without a message, and no loss when that goes as well."""
    log_dir.append([], rolled=True)
    assert len(retired(log_dir, settled_to=9)) == 3
    assert (lost(log_dir), damage(log_dir), retired_to(log_dir.path)) == ([], [], 9)
    lose(log_dir, 10)
    assert (lost(log_dir), damage(log_dir)) == ([], [])
    (log_dir.path / "witness").unlink()
    with closing(log_dir.open()) as log:
        assert log.append([arrival("j")]) == [range(10, 11)]


def test_the_mark_is_written_before_anything_goes(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it is cut off, nothing is missed, and the next time goes on."""
    unlink = Path.unlink
    states: list[LogDir] = []

    def copied_then_unlinked(path: Path, missing_ok: bool = False) -> None:
        states.append(log_dir.copied(f"cut-{len(states)}"))
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", copied_then_unlinked)
        assert len(retired(log_dir, settled_to=6)) == 2
    assert [retired_to(state.path) for state in states] == [3] * 4 + [6] * 4
    for state in states:
        assert (lost(state), damage(state)) == ([], [])
        retired(state, settled_to=6)
        assert (lost(state), damage(state), state.segments()) == ([], [], log_dir.segments())


def test_the_mark_never_goes_back(log_dir: LogDir) -> None:
    """A power failure may bring back a segment and not the one behind it."""
    before = (log_dir.path / f"{1:016d}.db").read_bytes()
    retired(log_dir, settled_to=6)
    (log_dir.path / f"{1:016d}.db").write_bytes(before)
    assert (lost(log_dir), damage(log_dir)) == ([], [])
    retired(log_dir, settled_to=6)
    assert (lost(log_dir), damage(log_dir)) == ([], [])


def test_nothing_goes_that_cannot_be_marked(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would look lost."""

    def broken_disk(descriptor: int) -> None:
        raise OSError("the disk is broken")

    monkeypatch.setattr("headgate.eventlog.retired.os.fsync", broken_disk)
    with pytest.raises(OSError, match="the disk is broken"):
        retired(log_dir, settled_to=6)
    assert len(log_dir.segments()) == 3


@pytest.mark.parametrize("content", [None, b"", bytes(12)], ids=["missing", "empty", "damaged"])
def test_without_a_mark_what_is_before_the_first_segment_counts_as_retired(
    log_dir: LogDir, content: bytes | None
) -> None:
    """As in a log from before there was one; from the next start on it has one."""
    lose(log_dir, 1)
    mark_path(log_dir.path).unlink()
    if content is not None:
        mark_path(log_dir.path).write_bytes(content)
    assert damage(log_dir) == []
    assert lost(log_dir) == []
    lose(log_dir, 4)
    assert lost(log_dir) == [(4, 6)]


# Beside a running server


def test_a_segment_that_is_retired_between_listing_and_reading_is_not_missed(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By those who ask what a start would miss."""
    witness = read_witness(log_dir.path)

    def retired_then_opened(directory: Path, first_seq: int) -> object:
        retired(log_dir, settled_to=3)
        return open_segment(directory, first_seq)

    monkeypatch.setattr("headgate.eventlog.resuming.open_segment", retired_then_opened)
    assert resume(log_dir.path, witness, 0).lost == []
    assert len(log_dir.segments()) == 2


@pytest.mark.parametrize("has_mark", [True, False], ids=["mark", "older server"])
def test_a_survey_misses_nothing_that_goes_after_it_has_listed(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch, has_mark: bool
) -> None:
    """With and without a mark."""

    def listed_then_retired(directory: Path) -> list[tuple[int, Path]]:
        found = segment_paths(directory)
        retired(log_dir, settled_to=6)
        if not has_mark:
            mark_path(directory).unlink()
        return found

    monkeypatch.setattr(surveying, "segment_paths", listed_then_retired)
    assert damage(log_dir) == []
    assert len(log_dir.segments()) == 1


def test_a_survey_misses_nothing_that_goes_before_it_lists(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is read after the list, and so is no older."""

    def retired_then_listed(directory: Path) -> list[tuple[int, Path]]:
        retired(log_dir, settled_to=3)
        return segment_paths(directory)

    monkeypatch.setattr(surveying, "segment_paths", retired_then_listed)
    assert damage(log_dir) == []
    assert len(log_dir.segments()) == 2


# Who tells


def test_missing_segments_are_known_without_looking_through_the_log(tmp_path: Path) -> None:
    """The oldest, one in the middle and the end, each with its range; what was retired is not told."""
    data_dir = DataDir(tmp_path)
    data_dir.use()
    for name in "abcdef":
        data_dir.accept(name, segment_messages=1)
    log = data_dir.path / "log"
    retire(log, now_ms=LONG_AFTER_MS, settled_to=1, days=1, max_bytes=0)
    for first_seq in (2, 4, 6):
        (log / f"{first_seq:016d}.db").unlink()
    with data_dir.opened() as stored:
        assert known_damage(stored, None) == [
            Known(2, 2, "they are missing or damaged"),
            Known(4, 4, "they are missing or damaged"),
            Known(6, 6, "the end of the log is missing"),
        ]


def test_a_server_that_misses_messages_says_so_in_one_line(tmp_path: Path) -> None:
    """At its start, for whoever reads its log; a server that misses none says nothing."""
    with Gateway(tmp_path / "data") as server:
        server.interrupt()
        assert server.exits() == 0
        assert "see headgate audit" not in server.err
    directory = LogDir(tmp_path / "data" / "log")
    for name in "abcd":
        directory.append_each(name, rolled=name != "d")
    lose(directory, 1, 3)
    with Gateway(tmp_path / "data") as server:
        server.interrupt()
        assert server.exits() == 0
        [line] = [line for line in server.err.splitlines() if "see headgate audit" in line]
    told = "messages 1 to 1, 3 to 3 of the log are missing or damaged; see headgate audit"
    assert line == f"WARNING headgate: {told}"
