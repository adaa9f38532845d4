"""A start says what is missing from the log, gives no number twice, and opens the doors all the same."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from log_dirs import LogDir, damage, message_ids, plain, sealed, seqs

from factories import arrival
from headgate.eventlog import resuming
from headgate.eventlog.block import BrokenBlock
from headgate.eventlog.log import BlockLog
from headgate.eventlog.sealing import seal
from headgate.eventlog.segments import NewerLog, check_version, open_segment
from headgate.eventlog.sqlite import read_witness, sqlite_reader
from headgate.eventlog.survey import survey

GARBAGE = b"nothing of the kind" * 1000


@pytest.fixture
def log_dir(tmp_path: Path) -> LogDir:
    """Segments 1 to 3, 4 to 6 and, open, 7 to 9, with one message in each block."""
    directory = LogDir(tmp_path / "log")
    directory.append_each("a", "b", "c", rolled=True)
    directory.append_each("d", "e", "f", rolled=True)
    directory.append_each("g", "h", "i")
    return directory


def lost(directory: LogDir, seen_to: int = 0) -> list[tuple[int, int]]:
    with closing(directory.open(seen_to=seen_to)) as log:
        return log.lost()


def appended(directory: LogDir, seen_to: int = 0) -> int:
    """The number of the next message."""
    with closing(directory.open(seen_to=seen_to)) as log:
        [[seq]] = log.append([arrival("next")])
        return seq


def without_journal(path: Path) -> None:
    """Brings everything into the file, as a clean end does."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def overwrite(path: Path, content: bytes) -> None:
    without_journal(path)
    path.write_bytes(content)


# What is lost


def test_a_whole_log_has_lost_nothing(log_dir: LogDir) -> None:
    """Sealed or not."""
    assert lost(log_dir) == []
    seal(log_dir.path, 1)
    assert (lost(log_dir), appended(log_dir)) == ([], 10)


def test_a_lost_tail_is_told_by_the_witness(log_dir: LogDir) -> None:
    """And its numbers are not given again."""
    log_dir.sql(7, "DELETE FROM block WHERE first_seq > 7")
    assert lost(log_dir) == [(8, 9)]
    assert appended(log_dir) == 10
    assert lost(log_dir) == [(8, 9)]


def test_a_lost_tail_is_told_by_delivery(log_dir: LogDir) -> None:
    """Without a witness, the highest number that delivery has recorded tells as much."""
    log_dir.sql(7, "DELETE FROM block WHERE first_seq > 7")
    (log_dir.path / "witness").unlink()
    assert lost(log_dir, seen_to=8) == [(8, 8)]
    assert appended(log_dir, seen_to=9) == 10


def test_a_lost_tail_without_anybody_who_knows_of_it_is_not_told(log_dir: LogDir) -> None:
    """Which is why there is a witness."""
    log_dir.sql(7, "DELETE FROM block WHERE first_seq > 7")
    (log_dir.path / "witness").unlink()
    assert (lost(log_dir), appended(log_dir)) == ([], 8)


def test_what_delivery_has_seen_of_a_whole_log_is_no_loss(log_dir: LogDir) -> None:
    """It is behind the log, as always."""
    assert lost(log_dir, seen_to=9) == []


@pytest.mark.parametrize("is_sealed", [False, True], ids=["closed", "sealed"])
def test_a_gap_between_segments_is_told(log_dir: LogDir, is_sealed: bool) -> None:
    """The end of a segment does not reach the next one."""
    log_dir.sql(1, "DELETE FROM block WHERE first_seq = 3")
    if is_sealed:
        seal(log_dir.path, 1)
    assert (lost(log_dir), appended(log_dir)) == ([(3, 3)], 10)


def test_a_missing_segment_is_told(log_dir: LogDir) -> None:
    """One in the middle, and the oldest one, which nobody has retired."""
    without_journal(plain(log_dir, 4))
    plain(log_dir, 4).unlink()
    assert lost(log_dir) == [(4, 6)]
    without_journal(plain(log_dir, 1))
    plain(log_dir, 1).unlink()
    assert (lost(log_dir), appended(log_dir)) == ([(1, 6)], 10)


@pytest.mark.parametrize(
    ("statement", "ranges"),
    [
        pytest.param("UPDATE block SET payload = x'00' WHERE first_seq = 9", [(9, 9)], id="last"),
        pytest.param("UPDATE block SET n = 100000 WHERE first_seq = 9", [(9, 9)], id="last's n"),
        pytest.param("UPDATE block SET payload = x'00' WHERE first_seq = 7", [(7, 7)], id="first"),
        pytest.param("UPDATE block SET n = 100000 WHERE first_seq = 8", [(8, 8)], id="an n"),
        pytest.param("DELETE FROM block WHERE first_seq = 8", [(8, 8)], id="a gap"),
        pytest.param("UPDATE block SET crc = 1 WHERE first_seq > 7", [(8, 9)], id="two"),
    ],
)
def test_damage_at_the_end_is_told(
    log_dir: LogDir, statement: str, ranges: list[tuple[int, int]]
) -> None:
    """The last blocks are looked at; the log goes on above them, and survey agrees."""
    log_dir.sql(7, statement)
    assert lost(log_dir) == ranges
    assert appended(log_dir) == 10
    assert [seq for seq in seqs(log_dir) if seq >= 10] == [10]
    lost_seqs = {seq for first, last in ranges for seq in range(first, last + 1)}
    assert {first for first, _, _ in damage(log_dir)} == lost_seqs  # a block of one message each


def test_a_broken_last_block_is_not_written_behind(log_dir: LogDir) -> None:
    """The log goes on in a new segment."""
    log_dir.sql(7, "UPDATE block SET payload = x'00' WHERE first_seq = 9")
    assert appended(log_dir) == 10
    assert log_dir.segments()[-1] == plain(log_dir, 10).name


@pytest.mark.parametrize("n", [1, 1000])
def test_a_broken_last_block_without_a_witness_is_given_no_number_twice(
    log_dir: LogDir, n: int
) -> None:
    """Its columns say how many messages there can have been at most."""
    log_dir.append([arrival(*(f"m-{at}" for at in range(10)))])
    (log_dir.path / "witness").unlink()
    log_dir.sql(7, f"UPDATE block SET n = {n} WHERE first_seq = 10")
    assert appended(log_dir) > 19


def test_another_last_block_than_the_witness_names_is_told(log_dir: LogDir) -> None:
    """A log that was put back to an earlier state and went on differently."""
    last = read_witness(log_dir.path)
    other = LogDir(log_dir.path.with_name("other"))
    other.append_each(*"abcdefgh", "another")
    (other.path / "witness").write_bytes((log_dir.path / "witness").read_bytes())
    assert read_witness(other.path) == last
    assert (lost(other), appended(other)) == ([(9, 9)], 10)


def test_only_so_many_blocks_are_looked_at(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start is short; the rest is for the audit."""
    log_dir.sql(7, "UPDATE block SET payload = x'00' WHERE first_seq = 7")
    monkeypatch.setattr(resuming, "_MAX_CHECKED_BLOCKS", 2)
    assert lost(log_dir) == []
    monkeypatch.setattr(resuming, "_MAX_CHECKED_BLOCKS", 3)
    assert lost(log_dir) == [(7, 7)]
    monkeypatch.setattr(resuming, "_MAX_CHECKED_BYTES", 1)
    assert lost(log_dir) == []


# Segments that cannot be read


@pytest.mark.parametrize("content", [GARBAGE, b"", b"SQLite format 3\0"], ids=["junk", "0", "cut"])
@pytest.mark.parametrize(
    ("first_seq", "ranges"), [(1, [(1, 3)]), (4, [(4, 6)]), (7, [(7, 9)])], ids=str
)
def test_an_unreadable_segment_is_lost_and_nothing_else(
    log_dir: LogDir, content: bytes, first_seq: int, ranges: list[tuple[int, int]]
) -> None:
    """The doors open, the others are read, and whoever delivers is told the range."""
    overwrite(plain(log_dir, first_seq), content)
    with closing(log_dir.open()) as log:
        assert log.lost() == ranges
        [[seq]] = log.append([arrival("next")])
        assert seq == 10
        assert log.last_seq() == 10
        assert _passing_over(log) == ranges
    assert log_dir.segments()[-1] == plain(log_dir, 10 if first_seq == 7 else 7).name
    assert [(first, last) for first, last, _ in damage(log_dir)] == ranges
    assert seqs(log_dir) == [seq for seq in range(1, 11) if not first_seq <= seq < first_seq + 3]


def _passing_over(log: BlockLog) -> list[tuple[int, int]]:
    """What a reader who goes on behind everything broken is told."""
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < log.last_seq():
        try:
            for block in log.blocks(at):
                at = block.last_seq
            return ranges
        except BrokenBlock as broken:
            assert broken.first_seq == at + 1
            ranges.append((broken.first_seq, broken.last_seq))
            at = broken.last_seq
    return ranges


def test_the_last_segment_being_unreadable_ends_at_the_witness(log_dir: LogDir) -> None:
    """For readers beside a server that has not started again, too; nothing is made up without a witness."""
    overwrite(plain(log_dir, 7), GARBAGE)
    with closing(sqlite_reader(log_dir.path)) as reader:
        assert reader.last_seq() == 9
        with pytest.raises(BrokenBlock, match="block 7 to 9 is broken: the segment cannot be read"):
            list(reader.blocks(6))
        assert list(reader.blocks(9)) == []
        (log_dir.path / "witness").unlink()
        assert list(reader.blocks(6)) == []
        assert reader.last_seq() == 6


def test_a_last_segment_of_which_nothing_is_known_is_given_no_number_twice(
    log_dir: LogDir,
) -> None:
    """Without a witness, its size says how many messages there can have been at most."""
    overwrite(plain(log_dir, 7), GARBAGE)
    (log_dir.path / "witness").unlink()
    assert lost(log_dir) == [(7, 7 + len(GARBAGE) // 21)]
    assert appended(log_dir) == 8 + len(GARBAGE) // 21


def test_a_machine_that_is_short_of_something_loses_no_message(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that may pass is not taken for damage by those who would settle it; the survey reads on."""

    def no_file_left(directory: Path, first_seq: int) -> object:
        if first_seq != 4:
            return open_segment(directory, first_seq)
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr("headgate.eventlog.reading.open_segment", no_file_left)
    with closing(sqlite_reader(log_dir.path)) as reader, pytest.raises(sqlite3.OperationalError):
        list(reader.blocks(0))
    assert [(first, last) for first, last, _ in damage(log_dir)] == [(4, 6)]
    assert seqs(log_dir) == [1, 2, 3, 7, 8, 9]


def test_a_broken_block_before_an_unreadable_rest_is_told_first(log_dir: LogDir) -> None:
    """Each range once, in order."""
    log_dir.sql(1, "UPDATE block SET payload = x'00' WHERE first_seq = 3")
    overwrite(plain(log_dir, 4), GARBAGE)
    with closing(log_dir.open()) as log:
        assert _passing_over(log) == [(3, 3), (4, 6)]
    assert [(first, last) for first, last, _ in damage(log_dir)] == [(3, 3), (4, 6)]


def test_a_segment_whose_pages_are_damaged_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """What comes behind the damage is told up to the next segment."""
    directory = LogDir(tmp_path / "log")
    directory.append(
        *([arrival(str(n), context=os.urandom(20_000))] for n in range(60)), rolled=True
    )
    directory.append_each("next")
    without_journal(plain(directory))
    content = bytearray(plain(directory).read_bytes())
    with closing(sqlite3.connect(plain(directory))) as db:
        leaves = db.execute(
            "SELECT pageno FROM dbstat WHERE name = 'block' AND pagetype = 'leaf' ORDER BY path"
        ).fetchall()
    page = leaves[len(leaves) // 2][0]
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    plain(directory).write_bytes(content)
    with closing(sqlite_reader(directory.path)) as reader:
        read: list[int] = []
        with pytest.raises(BrokenBlock) as broken:
            read.extend(block.first_seq for block in reader.blocks(0))
        assert broken.value.last_seq == 60
        assert 0 < len(read) == broken.value.first_seq - 1
        assert [block.first_seq for block in reader.blocks(60)] == [61]


# Versions


@pytest.mark.parametrize("is_sealed", [False, True], ids=["closed", "sealed"])
def test_a_newer_log_is_refused(log_dir: LogDir, is_sealed: bool) -> None:
    """By the writer, by readers and by whoever asks; nothing is changed."""
    if is_sealed:
        seal(log_dir.path, 1)
    check_version(log_dir.path)
    log_dir.sql(1, "PRAGMA user_version = 2")
    opened: list[Callable[[], object]] = [
        log_dir.open,
        lambda: check_version(log_dir.path),
        lambda: list(sqlite_reader(log_dir.path).blocks(0)),
        lambda: list(survey(log_dir.path)),
    ]
    for attempt in opened:
        with pytest.raises(NewerLog, match="was written by a newer Headgate"):
            attempt()
    assert log_dir.segments()[0] == (sealed if is_sealed else plain)(log_dir).name


def test_segments_from_before_there_were_versions_are_read(log_dir: LogDir) -> None:
    """They have the version 0, and no place for a seal."""
    log_dir.sql(1, "PRAGMA user_version = 0", "DROP TABLE seal")
    check_version(log_dir.path)
    assert message_ids(log_dir) == list("abcdefghi")
    seal(log_dir.path, 1)
    assert (message_ids(log_dir), damage(log_dir)) == (list("abcdefghi"), [])
