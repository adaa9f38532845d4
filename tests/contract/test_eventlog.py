"""What every event log does; runs over SQLite and over its in-memory twin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from factories import NOW_MS, arrival, envelope, message
from headgate.clock import ManualClock
from headgate.eventlog.block import BlockWriter, Contents, Entry, id_hash
from headgate.eventlog.interface import DUPLICATE, EventLog, LogFull
from headgate.eventlog.log import BlockLog
from headgate.eventlog.memory import MemoryStorage, memory_log
from headgate.eventlog.sqlite import SqliteStorage

DAY_S = 24 * 3600
PLENTY = 1 << 40


class SqliteKind:
    """Logs in one directory; its disk is full when told so."""

    def __init__(self, directory: Path, clock: ManualClock) -> None:
        self.directory = directory
        self.clock = clock
        self.free_bytes = PLENTY

    def open(self) -> BlockLog:
        """Small segments, so that the suite crosses their ends."""
        storage = SqliteStorage(
            self.directory,
            self.clock,
            max_segment_messages=5,
            free_bytes=lambda _: self.free_bytes,
        )
        return BlockLog(storage, self.clock)

    def fail(self) -> None:
        self.free_bytes = 0

    def recover(self) -> None:
        self.free_bytes = PLENTY


class MemoryKind:
    """Logs on one storage in memory."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.storage = MemoryStorage()

    def open(self) -> BlockLog:
        return memory_log(self.clock, self.storage)

    def fail(self) -> None:
        self.storage.failure = "told to fail"

    def recover(self) -> None:
        self.storage.failure = ""


class Logs:
    """A log that a test can close and open again, and whose writes can be made to fail."""

    def __init__(self, kind: SqliteKind | MemoryKind) -> None:
        self.kind = kind
        self.log: EventLog = kind.open()

    def reopen(self) -> EventLog:
        self.log.close()
        self.log = self.kind.open()
        return self.log


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture(params=["memory", "sqlite"])
def logs(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Logs]:
    """An empty log of each kind."""
    opened = Logs(
        MemoryKind(clock) if request.param == "memory" else SqliteKind(tmp_path / "log", clock)
    )
    yield opened
    opened.log.close()


def answers(log: EventLog, *ids: str, source: str = "website") -> list[int]:
    """What the log answers to one arrival with these messageIds."""
    [answer] = log.append([arrival(*ids, source=source)])
    return list(answer)


def held(log: EventLog, after_seq: int = 0) -> list[Entry]:
    """Every message of the blocks that `blocks` hands out, told apart from nothing."""
    return [entry for block in log.blocks(after_seq) for entry in block.entries()]


def test_a_new_log_is_empty(logs: Logs) -> None:
    """Nothing is held and the first number is yet to be given."""
    assert (logs.log.last_seq(), logs.log.first_seq()) == (0, 1)
    assert held(logs.log) == []
    assert logs.log.find("website", "a") == []
    assert logs.log.trouble() == ""


def test_messages_are_numbered_from_1_without_gaps(logs: Logs) -> None:
    """Numbers go on over arrivals, groups, segments and a new opening."""
    assert [list(one) for one in logs.log.append([arrival("a", "b"), arrival("c")])] == [
        [1, 2],
        [3],
    ]
    assert answers(logs.log, "d", "e", "f") == [4, 5, 6]
    assert answers(logs.log, "g") == [7]
    assert answers(logs.reopen(), "h") == [8]
    assert logs.log.last_seq() == 8
    assert [entry.seq for entry in held(logs.log)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_what_is_read_is_what_was_appended(logs: Logs) -> None:
    """Bytes and envelope of each message come back, also from a log opened again."""
    first = arrival("a", "b", source="shop", ip="192.0.2.1", sent_at="2026-11-23")
    second = arrival("c", context=b'{"app":1}', integrations=b'{"All":false}', call_type="track")
    logs.log.append([first, second])
    for log in (logs.log, logs.reopen()):
        entries = held(log)
        assert [entry.raw for entry in entries] == [*first.raws, *second.raws]
        assert [entry.envelope for entry in entries] == [
            first.envelope,
            first.envelope,
            second.envelope,
        ]


def test_a_message_id_is_accepted_once_per_source(logs: Logs) -> None:
    """In the same arrival, the same group, a later group; another source's equal id is another message."""
    assert [
        list(one)
        for one in logs.log.append(
            [
                arrival("a", "b", "a"),
                arrival("b", "c"),
                arrival("a", source="shop"),
            ]
        )
    ] == [[1, 2, DUPLICATE], [DUPLICATE, 3], [4]]
    assert answers(logs.log, "d", "a", "c") == [5, DUPLICATE, DUPLICATE]
    assert answers(logs.log, "a", "b", source="shop") == [DUPLICATE, 6]


def test_an_equal_hash_alone_makes_no_duplicate(clock: ManualClock) -> None:
    """The stored messageId decides: here the log holds another message under the hash of `b`."""
    storage = MemoryStorage()
    stored = Contents(
        envelopes=[envelope()],
        counts=[1],
        raws=[message("a")],
        id_hashes=[id_hash("website", "b")],
        user_hashes=[0],
        types=bytearray(1),
        given_ids={},
    )
    storage.write(BlockWriter().build(1, 0, stored))
    assert answers(memory_log(clock, storage), "b", "b") == [2, DUPLICATE]


def test_a_group_of_duplicates_writes_nothing(logs: Logs) -> None:
    """Every message is answered, the log stays as long as it was."""
    answers(logs.log, "a", "b")
    assert answers(logs.log, "b", "a") == [DUPLICATE, DUPLICATE]
    assert logs.log.last_seq() == 2


def test_duplicates_are_known_after_opening_again(logs: Logs) -> None:
    """Dedupe survives a restart, also for ids that the server gave."""
    logs.log.append([arrival("a", "given-1", given=[1])])
    assert answers(logs.reopen(), "a", "given-1", "b") == [DUPLICATE, DUPLICATE, 3]


@pytest.mark.parametrize("reopened", [False, True], ids=["same process", "opened again"])
def test_duplicates_are_known_for_24_hours(logs: Logs, clock: ManualClock, reopened: bool) -> None:
    """A second before the day is over the id is still refused."""
    answers(logs.log, "a")
    clock.advance(DAY_S - 1)
    log = logs.reopen() if reopened else logs.log
    assert answers(log, "a", "b") == [DUPLICATE, 2]


def test_an_id_may_be_used_again_after_the_window(logs: Logs, clock: ManualClock) -> None:
    """Opened after more than 24 h, the log has forgotten the id; both messages are held."""
    answers(logs.log, "a")
    clock.advance(DAY_S + 1)
    assert answers(logs.reopen(), "a") == [2]
    assert logs.log.find("website", "a") == [1, 2]


def test_blocks_start_at_any_message(logs: Logs) -> None:
    """Every position leads to the block that holds the next message, wherever segments end."""
    for at in range(4):
        answers(logs.log, *(f"{at}-{n}" for n in range(4)))
    for log in (logs.log, logs.reopen()):
        for after_seq in range(18):
            entries = held(log, after_seq)
            first = after_seq // 4 * 4 + 1
            assert [entry.seq for entry in entries] == list(range(first, 17))


def test_blocks_of_a_long_log_come_in_order(logs: Logs) -> None:
    """However many blocks there are, each comes once."""
    for n in range(150):
        answers(logs.log, f"m-{n}")
    assert [entry.seq for entry in held(logs.log)] == list(range(1, 151))
    assert [entry.seq for entry in held(logs.log, 70)] == list(range(71, 151))


def test_every_message_is_found_by_its_number(logs: Logs) -> None:
    """In any order; a number that was never given is a KeyError."""
    answers(logs.log, "a", "b")
    answers(logs.log, "c")
    answers(logs.log, "d", "e", "f")
    for log in (logs.log, logs.reopen()):
        for seq in (5, 1, 3, 2, 6, 4):
            assert log.entry(seq).raw == message("abcdef"[seq - 1])
        for seq in (-1, 0, 7, 1_000):
            with pytest.raises(KeyError):
                log.entry(seq)


def test_a_message_is_found_by_its_id_and_source(logs: Logs) -> None:
    """Given ids too; another source's are not."""
    logs.log.append([arrival("a", "given-1", given=[1]), arrival("a", source="shop")])
    for log in (logs.log, logs.reopen()):
        assert log.find("website", "a") == [1]
        assert log.find("shop", "a") == [3]
        assert log.find("website", "given-1") == [2]
        assert log.find("website", "b") == []


def test_messages_are_found_by_the_hashes_of_their_ids(logs: Logs) -> None:
    """All at once, in the order of the log; unknown ones are nothing."""
    logs.log.append([arrival("a", "b", "c"), arrival("a", source="shop")])
    answers(logs.log, "d", "given-1")
    wanted = [id_hash("website", one) for one in ("d", "a", "nobody")] + [id_hash("shop", "a")]
    for log in (logs.log, logs.reopen()):
        assert log.find_any(wanted) == [1, 4, 5]
        assert log.find_any([]) == []


def test_given_ids_are_kept_beside_the_bytes(logs: Logs) -> None:
    """Whoever reads learns the id that the server gave, also where duplicates were left out before it."""
    answers(logs.log, "a")
    logs.log.append([arrival("a", "b", "given-1", "c", "given-2", given=[2, 4])])
    for log in (logs.log, logs.reopen()):
        assert [entry.given_id for entry in held(log)] == ["", "", "given-1", "", "given-2"]


def test_columns_tell_types_and_users(logs: Logs) -> None:
    """A message without userId has the user hash 0; equal users have equal hashes."""
    logs.log.append([arrival("a", "b"), arrival("c", user=""), arrival("d", user="bob")])
    [block] = logs.log.blocks(0)
    ann, again, nobody, bob = block.user_hashes
    assert ann == again != bob
    assert nobody == 0
    assert block.types == bytes([1, 1, 1, 1])


def test_a_failed_write_keeps_nothing(logs: Logs) -> None:
    """LogFull; number and ids stay free, and are given to the next group that can be written."""
    answers(logs.log, "a")
    logs.kind.fail()
    with pytest.raises(LogFull):
        answers(logs.log, "b", "c")
    assert logs.log.last_seq() == 1
    assert [entry.seq for entry in held(logs.log)] == [1]
    logs.kind.recover()
    assert answers(logs.log, "c", "b", "a") == [2, 3, DUPLICATE]
    assert [entry.seq for entry in held(logs.reopen())] == [1, 2, 3]


def test_trouble_is_told_while_it_lasts(logs: Logs) -> None:
    """Words while writes would fail; none before and after."""
    answers(logs.log, "a")
    assert logs.log.trouble() == ""
    logs.kind.fail()
    assert logs.log.trouble() != ""
    logs.kind.recover()
    assert logs.log.trouble() == ""


def test_a_log_that_is_whole_has_lost_nothing(logs: Logs) -> None:
    """Empty, filled and opened again."""
    assert logs.log.lost() == []
    answers(logs.log, "a", "b")
    assert logs.reopen().lost() == []


def test_rolling_changes_no_message(logs: Logs) -> None:
    """Empty or not, numbers, ids and blocks are as if nothing had happened."""
    logs.log.roll()
    answers(logs.log, "a", "b")
    logs.log.roll()
    logs.log.roll()
    assert answers(logs.log, "c", "b") == [3, DUPLICATE]
    for log in (logs.log, logs.reopen()):
        assert [entry.seq for entry in held(log)] == [1, 2, 3]
        assert (log.first_seq(), log.last_seq()) == (1, 3)


def test_a_limit_is_kept_while_it_holds(logs: Logs) -> None:
    """A log that weighs more takes nothing, keeps nothing of it, and says so; 0 lifts the limit."""
    answers(logs.log, "a")
    assert logs.log.size_bytes() > 0
    logs.log.limit(1)
    with pytest.raises(LogFull, match=r"retention\.maxBytes is reached"):
        answers(logs.log, "b")
    assert "retention.maxBytes is reached" in logs.log.trouble()
    logs.log.limit(0)
    assert logs.log.trouble() == ""
    assert answers(logs.log, "b") == [2]


def test_closing_twice_is_fine(logs: Logs) -> None:
    """Whoever cleans up need not know whether somebody did."""
    logs.log.close()
    logs.log.close()
