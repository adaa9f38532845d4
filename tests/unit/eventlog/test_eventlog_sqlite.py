"""The log's files: when a segment ends, what a failing disk does, and how a loss is noticed."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from factories import NOW_MS, arrival, message
from headgate.clock import ManualClock
from headgate.eventlog.interface import DUPLICATE, Arrival, LogFull
from headgate.eventlog.log import BlockLog
from headgate.eventlog.sqlite import SqliteStorage, read_witness, segment_paths, sqlite_reader

DAY_S = 24 * 3600
PLENTY = 1 << 40


class Disk:
    """A log directory whose storage a test can make small, full or broken."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = ManualClock(NOW_MS)
        self.free_bytes: Callable[[Path], int] = lambda _: PLENTY
        self._opened: list[BlockLog] = []

    def open(self, *, messages: int = 1_000, size_bytes: int = 1 << 30) -> BlockLog:
        return BlockLog(self.storage(messages=messages, size_bytes=size_bytes), self.clock)

    def storage(self, *, messages: int = 1_000, size_bytes: int = 1 << 30) -> SqliteStorage:
        return SqliteStorage(
            self.directory,
            self.clock,
            max_segment_messages=messages,
            max_segment_bytes=size_bytes,
            free_bytes=lambda path: self.free_bytes(path),
        )

    def segments(self) -> list[int]:
        return [first_seq for first_seq, _ in segment_paths(self.directory)]

    def segment(self, first_seq: int) -> Path:
        return dict(segment_paths(self.directory))[first_seq]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "log")


def append(log: BlockLog, *ids: str) -> list[int]:
    [answer] = log.append([arrival(*ids)])
    return list(answer)


def raws(directory: Path, after_seq: int = 0) -> list[tuple[int, bytes]]:
    """What another process reads."""
    reader = sqlite_reader(directory)
    found = [
        (entry.seq, entry.raw) for block in reader.blocks(after_seq) for entry in block.entries()
    ]
    reader.close()
    return found


def test_the_directory_is_the_owner_s_alone(disk: Disk) -> None:
    """What people do is nobody else's business."""
    disk.open().close()
    assert disk.directory.stat().st_mode & 0o777 == 0o700


def test_a_segment_ends_at_its_number_of_messages(disk: Disk) -> None:
    """Each is named after its first message, and numbering goes on over the end and a restart."""
    log = disk.open(messages=3)
    for n in range(4):
        append(log, f"{n}-a", f"{n}-b")
    assert disk.segments() == [1, 5]
    log.close()
    log = disk.open(messages=3)
    assert append(log, "c") == [9]
    assert disk.segments() == [1, 5, 9]
    assert [seq for seq, _ in raws(disk.directory)] == list(range(1, 10))
    log.close()


def test_a_segment_ends_at_its_size(disk: Disk) -> None:
    """A large block closes its segment for the next one."""
    log = disk.open(size_bytes=10_000)
    log.append([arrival("a", context=os.urandom(20_000))])
    append(log, "b")
    assert disk.segments() == [1, 2]
    log.close()


def test_a_segment_ends_after_a_day(disk: Disk) -> None:
    """So that retention finds whole days to drop."""
    log = disk.open()
    append(log, "a")
    disk.clock.advance(DAY_S)
    append(log, "b")
    disk.clock.advance(1)
    append(log, "c")
    assert disk.segments() == [1, 3]
    log.close()


def test_the_chain_of_checksums_crosses_segments_and_restarts(disk: Disk) -> None:
    """Every block names the one before it, also the first of a segment that a crash left empty."""
    log = disk.open(messages=2)
    for n in range(3):
        append(log, f"{n}-a", f"{n}-b")
    log.close()
    empty = disk.directory / f"{7:016d}.db"
    shutil.copy(disk.segment(1), empty)
    with sqlite3.connect(empty) as connection:
        connection.execute("DELETE FROM block")
    connection.close()
    log = disk.open(messages=2)
    assert append(log, "z") == [7]
    stored = list(disk.storage().blocks(0))
    assert [block.prev_crc for block in stored] == [0, *(block.crc for block in stored[:-1])]
    log.close()


def test_a_reader_follows_a_log_that_grows(disk: Disk) -> None:
    """What was committed is seen by whoever reads, over the ends of segments."""
    log = disk.open(messages=2)
    reader = sqlite_reader(disk.directory)
    assert (reader.last_seq(), reader.first_seq()) == (0, 1)
    for n in range(1, 8):
        append(log, f"m-{n}")
        assert (reader.last_seq(), reader.first_seq()) == (n, 1)
        assert reader.entry(n).raw == message(f"m-{n}")
        assert [block.first_seq for block in reader.blocks(0)] == list(range(1, n + 1))
    reader.close()
    log.close()


def test_the_witness_names_the_last_block(disk: Disk) -> None:
    """After every commit."""
    log = disk.open()
    assert read_witness(disk.directory) is None
    append(log, "a")
    append(log, "b", "c")
    assert read_witness(disk.directory) == (3, [block.crc for block in log.blocks(0)][-1])
    log.close()


def test_a_log_that_ends_before_its_witness_says_what_is_lost(disk: Disk) -> None:
    """A tail that vanished is reported by its numbers, which are never given again."""
    log = disk.open()
    append(log, "a", "b")
    log.close()
    shutil.copytree(disk.directory, disk.directory.with_name("older"))
    log = disk.open()
    append(log, "c", "d")
    log.close()
    shutil.copy(disk.directory / "witness", disk.directory.with_name("older"))
    disk.directory = disk.directory.with_name("older")

    log = disk.open()
    assert log.lost() == [(3, 4)]
    assert append(log, "a", "c", "e") == [DUPLICATE, 5, 6]
    assert [seq for seq, _ in raws(disk.directory)] == [1, 2, 5, 6]
    with pytest.raises(KeyError):
        log.entry(4)
    log.close()
    log = disk.open()
    assert (log.lost(), log.last_seq()) == ([(3, 4)], 6)  # a gap between segments is known for good
    log.close()


def test_a_log_whose_files_are_gone_numbers_on_above_the_witness(disk: Disk) -> None:
    """Somebody deleted the segments; positions that others remember stay in the past."""
    log = disk.open()
    append(log, "a", "b")
    log.close()
    disk.segment(1).unlink()
    log = disk.open()
    assert log.lost() == [(1, 2)]
    assert append(log, "a") == [3]
    log.close()


@pytest.mark.parametrize("size", [0, 5], ids=["empty", "cut short"])
def test_a_witness_that_says_nothing_is_no_loss(disk: Disk, size: int) -> None:
    """A machine that lost power may leave the file without content."""
    log = disk.open()
    append(log, "a")
    log.close()
    os.truncate(disk.directory / "witness", size)
    log = disk.open()
    assert (log.lost(), log.last_seq()) == ([], 1)
    log.close()


def test_a_witness_that_cannot_be_written_costs_no_message(disk: Disk) -> None:
    """The block is durable, so its messages are accepted, and numbers are not given twice."""
    storage = disk.storage()
    log = BlockLog(storage, disk.clock)
    append(log, "a")
    os.close(storage._witness._descriptor)
    storage._witness._descriptor = os.open(disk.directory / "witness", os.O_RDONLY)
    assert append(log, "b") == [2]
    assert append(log, "c", "b") == [3, DUPLICATE]
    log.close()


def test_nearly_full_disk_refuses_and_recovers(disk: Disk) -> None:
    """Nothing of the group is kept; as soon as there is space, its messages are accepted."""
    log = disk.open()
    append(log, "a")
    disk.free_bytes = lambda _: 1024 * 1024
    with pytest.raises(LogFull, match=r"the disk is full: 1024 KiB free in .*, 8192 KiB needed"):
        append(log, "b")
    assert "the disk is full" in log.trouble()
    disk.free_bytes = lambda _: PLENTY
    assert log.trouble() == ""
    assert append(log, "b") == [2]
    assert disk.segments() == [1]
    log.close()


def test_a_directory_that_cannot_be_looked_at_is_trouble(disk: Disk) -> None:
    """A vanished mount is told like any other reason, not thrown at whoever asks for health."""
    log = disk.open()

    def vanished(path: Path) -> int:
        raise FileNotFoundError(f"no such directory: {path}")

    disk.free_bytes = vanished
    assert "cannot be looked at" in log.trouble()
    with pytest.raises(LogFull):
        append(log, "a")
    log.close()


# A cap


def large(*ids: str) -> Arrival:
    """A request that weighs about 100 KB."""
    return arrival(*ids, context=os.urandom(100_000))


def weight(disk: Disk) -> int:
    return sum(path.stat().st_size for path in disk.directory.iterdir())


def test_a_log_at_its_cap_takes_nothing_and_says_why(disk: Disk) -> None:
    """Nothing of the group is kept; once something went, or the cap is raised, it goes on."""
    log = disk.open()
    log.limit(2 * 1024 * 1024)
    for n in range(100):
        try:
            log.append([large(f"m-{n}")])
        except LogFull as error:
            assert "retention.maxBytes is reached: the log holds" in str(error)
            break
    assert 1_800_000 < weight(disk) < 2 * 1024 * 1024 + 100_000  # a block, and what SQLite adds
    assert f"the log holds {log.size_bytes() // 1024} KiB of 2048 KiB" in log.trouble()
    assert log.size_bytes() == weight(disk)
    assert log.last_seq() == n
    log.limit(0)
    assert log.trouble() == ""
    assert log.append([large(f"m-{n}")]) == [range(n + 1, n + 2)]
    log.close()


def test_room_that_was_made_is_found_by_itself(disk: Disk) -> None:
    """Before a group is refused, the log looks again at what it weighs."""
    log = disk.open()
    log.append([large("a")])
    ballast = disk.directory / "ballast"
    ballast.write_bytes(bytes(4 * 1024 * 1024))
    log.limit(4 * 1024 * 1024)
    assert "retention.maxBytes" in log.trouble()
    ballast.unlink()
    assert log.trouble() == ""
    assert log.append([large("b")]) == [range(2, 3)]
    log.close()


def test_a_cap_makes_segments_small(disk: Disk) -> None:
    """An eighth of it each, so that something can always be retired."""
    log = disk.open()
    log.limit(16 * 1024 * 1024)
    for n in range(50):
        log.append([large(f"m-{n}")])
    assert len(disk.segments()) == 3
    assert log.size_bytes() == pytest.approx(weight(disk), rel=0.5)
    log.close()


# Rolling


def test_rolling_ends_a_segment_that_holds_something(disk: Disk) -> None:
    """The next one is there at once, so the ended one is never written again, not even after a restart."""
    log = disk.open()
    log.roll()
    assert disk.segments() == []
    append(log, "a")
    assert log.open_first_seq() == 1
    log.roll()
    log.roll()
    assert (disk.segments(), log.open_first_seq()) == ([1, 2], 2)
    log.close()
    log = disk.open()
    assert (append(log, "b", "a"), log.open_first_seq()) == ([2, DUPLICATE], 2)
    assert disk.segments() == [1, 2]
    log.close()


def test_a_segment_that_cannot_be_begun_leaves_the_old_one_open(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and messages are accepted as before."""
    log = disk.open()
    append(log, "a")

    def failing(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteStorage, "_create", failing)
        with pytest.raises(LogFull, match="a new segment cannot be begun"):
            log.roll()
    assert append(log, "b") == [2]
    assert disk.segments() == [1]
    log.close()


class Failing:
    """A connection that fails the next statements, as SQLite does when the disk does."""

    def __init__(self, connection: sqlite3.Connection, code: int, times: int = 1) -> None:
        self._connection = connection
        self._code = code
        self._times = times

    def execute(self, *statement: object) -> object:
        if self._times:
            self._times -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(*statement)  # type: ignore[arg-type]

    def close(self) -> None:
        self._connection.close()


def break_connection(storage: SqliteStorage, code: int) -> None:
    assert storage._writing is not None
    storage._writing = Failing(storage._writing, code)  # type: ignore[assignment]


def test_an_io_error_closes_the_segment_for_good(disk: Disk) -> None:
    """Nobody knows what a failed fsync left, so the log goes on in a new file, under the same numbers."""
    storage = disk.storage()
    log = BlockLog(storage, disk.clock)
    append(log, "a", "b")
    break_connection(storage, sqlite3.SQLITE_IOERR)
    with pytest.raises(LogFull, match="disk I/O error"):
        append(log, "c")
    assert append(log, "d", "c") == [3, 4]
    assert disk.segments() == [1, 3]
    assert [seq for seq, _ in raws(disk.directory)] == [1, 2, 3, 4]
    log.close()


def test_health_mends_a_log_that_failed(disk: Disk) -> None:
    """Being asked, the log tries a write of its own: trouble ends with its cause, without a message."""
    storage = disk.storage()
    log = BlockLog(storage, disk.clock)
    append(log, "a")
    break_connection(storage, sqlite3.SQLITE_IOERR)
    with pytest.raises(LogFull):
        append(log, "b")
    assert log.trouble() == ""
    assert disk.segments() == [1, 2]
    assert append(log, "b") == [2]
    log.close()


def test_a_full_disk_leaves_the_segment_open(disk: Disk) -> None:
    """SQLite has rolled back; the file is as good as before."""
    storage = disk.storage()
    log = BlockLog(storage, disk.clock)
    append(log, "a")
    break_connection(storage, sqlite3.SQLITE_FULL)
    with pytest.raises(LogFull):
        append(log, "b")
    assert append(log, "b") == [2]
    assert disk.segments() == [1]
    log.close()


def test_a_block_whose_commit_failed_never_comes_back(disk: Disk) -> None:
    """The failed block surfaces behind its segment's end.

    SQLite may recover from its journal what it could not sync. The group was answered 503 and its numbers
    were given again in the next segment, so the ghost is not read, counted or chained to.
    """
    log = disk.open(messages=2)
    append(log, "a", "b")
    append(log, "c", "d")
    log.close()
    for path in (disk.segment(1), disk.segment(3)):
        with sqlite3.connect(path) as connection:
            rows = connection.execute("SELECT * FROM block").fetchall()
        connection.close()
    with sqlite3.connect(disk.segment(1)) as connection:
        connection.executemany("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    for after_seq in range(4):
        first = after_seq // 2 * 2 + 1
        assert [seq for seq, _ in raws(disk.directory, after_seq)] == list(range(first, 5))
    storage = disk.storage()
    assert (storage.last_seq(), storage.last_crc()) == (4, list(storage.blocks(0))[-1].crc)
    storage.close()


def test_a_segment_that_fails_before_its_first_block_is_replaced(disk: Disk) -> None:
    """Readers that had opened it, and its journal, do not get in the way of the new one."""
    storage = disk.storage(messages=1)
    log = BlockLog(storage, disk.clock)
    append(log, "a")
    storage._close_segment()
    storage._open(storage._create(2))
    reader = sqlite_reader(disk.directory)
    assert [block.first_seq for block in reader.blocks(0)] == [1]
    break_connection(storage, sqlite3.SQLITE_IOERR)
    with pytest.raises(LogFull):
        append(log, "b")
    assert append(log, "c") == [2]
    assert disk.segments() == [1, 2]
    assert reader.entry(2).raw == message("c")
    assert reader.last_seq() == 2
    reader.close()
    log.close()


def test_the_journal_of_a_failed_segment_is_not_taken_for_the_new_one_s(
    disk: Disk, tmp_path: Path
) -> None:
    """A failed block in a left-over journal must not surface in the segment that takes the failed one's place."""
    elsewhere = Disk(tmp_path / "elsewhere")
    failed = elsewhere.open(messages=1)
    append(failed, "a")
    append(failed, "ghost")
    log = disk.open(messages=1)
    append(log, "a")
    shutil.copy(f"{elsewhere.segment(2)}-wal", disk.directory)
    assert append(log, "b") == [2]
    assert raws(disk.directory) == [(1, message("a")), (2, message("b"))]
    log.close()
    failed.close()


def test_a_broken_block_does_not_keep_the_doors_shut(disk: Disk) -> None:
    """Its ids are not known any more; everybody else's are."""
    log = disk.open()
    append(log, "a")
    append(log, "b")
    log.close()
    with sqlite3.connect(disk.segment(1)) as connection:
        connection.execute("UPDATE block SET n = 1000 WHERE first_seq = 1")
    connection.close()
    log = disk.open()
    assert append(log, "b", "c") == [DUPLICATE, 3]
    log.close()


def test_a_suspect_in_a_broken_block_counts_as_a_duplicate(disk: Disk) -> None:
    """With the stored id unreadable, 64 equal bits are all the evidence left."""
    log = disk.open()
    append(log, "a")
    with sqlite3.connect(disk.segment(1)) as connection:
        connection.execute("UPDATE block SET payload = x'00'")
    connection.close()
    assert append(log, "a", "b") == [DUPLICATE, 2]
    log.close()


def test_one_message_is_read_without_its_neighbours_blocks(disk: Disk) -> None:
    """Confirming a duplicate must not cost the reading of dozens of blocks."""
    log = disk.open()
    for n in range(20):
        append(log, f"m-{n}")
    statements: list[str] = []
    reader = disk.storage()
    with reader._segments.opened(1) as segment:
        assert segment is not None
        segment._db.set_trace_callback(statements.append)
    next(reader.blocks(4))
    assert [one.rpartition("LIMIT")[2].strip(" ;") for one in statements] == ["1"]
    reader.close()
    log.close()


def test_a_long_segment_is_read_once(disk: Disk) -> None:
    """Each statement begins where the one before ended, so reading takes no longer per block further on."""
    log = disk.open()
    for n in range(100):
        append(log, f"m-{n}")
    statements: list[str] = []
    reader = disk.storage()
    with reader._segments.opened(1) as segment:
        assert segment is not None
        segment._db.set_trace_callback(statements.append)
    assert len(list(reader.blocks(0))) == 100
    begun_at = [int(one.partition("first_seq + n >")[2].split()[0]) for one in statements]
    assert begun_at == [1, 2, 6, 22, 86]
    reader.close()
    log.close()
