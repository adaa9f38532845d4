"""A sealed segment holds what it held, tells the same damage, and is whole at every step of its making."""

import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from log_dirs import LogDir, damage, plain, sealed, seqs, told

from factories import arrival
from headgate.eventlog import rewriting
from headgate.eventlog.block import Block, id_hash
from headgate.eventlog.ids import ids_path, read_ids
from headgate.eventlog.interface import DUPLICATE
from headgate.eventlog.rewriting import NotNow, Unreadable, alone_in
from headgate.eventlog.sealing import main, seal, unsealed
from headgate.eventlog.sqlite import sqlite_reader
from headgate.eventlog.survey import survey

BROKEN = "the checksum does not match"
MISSING = "the messages are missing"
SEALED = {".sealed.db", ".ids"}
UNCHAINED = "the block does not continue the one before it"


@pytest.fixture
def log_dir(tmp_path: Path) -> LogDir:
    """A closed segment of nine blocks with twelve messages, and an open one with two."""
    directory = LogDir(tmp_path / "log")
    directory.append_each("a", "b", "c", "d", "e", "f", "g")
    directory.append(
        [arrival("h", "given-1", given=[1], ip="192.0.2.1"), arrival("i", source="shop")],
        [arrival("j", "k", context=b'{"app":1}', sent_at="2026-11-23")],
        rolled=True,
    )
    directory.append_each("x", "y")
    return directory


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed blocks of three messages, so that there are several."""
    monkeypatch.setattr(rewriting, "BLOCK_MESSAGES", 3)


def block_starts(directory: LogDir) -> list[int]:
    return [item.first_seq for item in survey(directory.path) if isinstance(item, Block)]


# What is sealed


def test_a_sealed_segment_holds_the_same_messages_in_fewer_blocks(log_dir: LogDir) -> None:
    """Bytes, envelopes, given ids and numbers; the open segment is as it was."""
    before = told(log_dir)
    assert block_starts(log_dir) == [1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 14]
    seal(log_dir.path, 1)
    assert told(log_dir) == before
    assert block_starts(log_dir) == [1, 13, 14]
    assert log_dir.files_of(1) == SEALED
    assert log_dir.segments() == [sealed(log_dir).name, plain(log_dir, 13).name]
    assert damage(log_dir) == []


@pytest.mark.usefixtures("small_blocks")
def test_reading_begins_anywhere_in_a_sealed_segment(log_dir: LogDir) -> None:
    """Every position leads to the messages behind it."""
    before = told(log_dir)
    seal(log_dir.path, 1)
    assert block_starts(log_dir) == [1, 4, 7, 8, 11, 13, 14]
    for after_seq in range(15):
        assert told(log_dir, after_seq) == before[after_seq:]


def test_a_block_that_is_large_already_stays_one(log_dir: LogDir, small_blocks: None) -> None:
    """It is not unpacked; only its place in the chain is new."""
    log_dir.append([arrival(*(f"m-{n}" for n in range(8)))], rolled=True)
    before = told(log_dir)
    seal(log_dir.path, 13)
    assert block_starts(log_dir)[-2:] == [13, 15]
    assert (told(log_dir), damage(log_dir)) == (before, [])


def test_columns_survive_sealing(log_dir: LogDir) -> None:
    """Type, user and id of each message stand beside the right one."""

    def columns() -> list[tuple[int, int, int]]:
        with closing(sqlite_reader(log_dir.path)) as reader:
            return [
                row
                for block in reader.blocks(0)
                for row in zip(block.id_hashes, block.user_hashes, block.types, strict=True)
            ]

    before = columns()
    seal(log_dir.path, 1)
    assert columns() == before


def test_a_sealed_file_is_never_in_wal_mode(log_dir: LogDir) -> None:
    """So that nothing beside it could ever be taken for a part of it; its version is written in it."""
    seal(log_dir.path, 1)
    header = sealed(log_dir).read_bytes()[:100]
    assert header[18:20] == b"\x01\x01"
    assert struct.unpack(">I", header[60:64]) == (1,)


def test_sealed_segments_are_chained_to_their_neighbours(log_dir: LogDir) -> None:
    """Three in a row: each names the crc that the one before ended with before it was sealed."""
    log_dir.append_each("z", rolled=True)
    log_dir.append_each("zz")
    ends = list(sqlite_reader(log_dir.path).blocks(12))
    for first_seq in (1, 13):
        seal(log_dir.path, first_seq)
    assert damage(log_dir) == []
    with closing(log_dir.open()) as log:
        assert [block.crc for block in log.blocks(14)] == [block.crc for block in ends[2:]]
        log.append([arrival("more")])
    assert damage(log_dir) == []


def test_a_log_goes_on_behind_a_sealed_segment(log_dir: LogDir) -> None:
    """Also when the open one was empty: numbers and chain go on from the seal."""
    log_dir.append([], rolled=True)
    seal(log_dir.path, 13)
    log_dir.append_each("z")
    assert (seqs(log_dir)[-1], damage(log_dir)) == (15, [])


def test_an_empty_closed_segment_can_be_sealed(log_dir: LogDir) -> None:
    """A loss may leave one behind; it hides nothing and invents nothing."""
    with closing(log_dir.open(seen_to=20)) as log:
        log.append([arrival("z")])
    log_dir.sql(13, "DELETE FROM block")
    before = damage(log_dir)
    seal(log_dir.path, 13)
    assert before == damage(log_dir) == [(13, 20, MISSING)]


# Ids


def test_the_ids_of_a_sealed_segment_are_found(log_dir: LogDir) -> None:
    """By dedupe after a start, by `find`, by hash; given ones too."""
    seal(log_dir.path, 1)
    with closing(log_dir.open()) as log:
        [answer] = log.append([arrival("c", "given-1", "x", "new")])
        assert list(answer) == [DUPLICATE, DUPLICATE, DUPLICATE, 15]
        assert (log.find("website", "given-1"), log.find("shop", "i")) == ([9], [10])
        assert log.find_any([id_hash("website", one) for one in ("y", "a", "nobody")]) == [1, 14]


def spoiled(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut short"),
        pytest.param(lambda path: spoiled(path, 3), id="magic"),
        pytest.param(lambda path: spoiled(path, 16), id="header"),
        pytest.param(lambda path: spoiled(path, 64 + 7), id="a hash"),
        pytest.param(lambda path: spoiled(path, -1), id="a number"),
    ],
)
def test_spoiled_ids_are_read_from_the_columns(
    log_dir: LogDir, spoil: Callable[[Path], None]
) -> None:
    """Whoever looks for an id finds it all the same."""
    seal(log_dir.path, 1)
    spoil(ids_path(log_dir.path, 1))
    with closing(sqlite_reader(log_dir.path)) as reader:
        for at, name in enumerate("abcdefgh", 1):
            assert reader.find("website", name) == [at]


def test_missing_ids_are_made_again(log_dir: LogDir) -> None:
    """A start does without them, and the next sealing brings them back."""
    seal(log_dir.path, 1)
    ids_path(log_dir.path, 1).unlink()
    with closing(log_dir.open()) as log:
        assert [list(one) for one in log.append([arrival("a")])] == [[DUPLICATE]]
    assert unsealed(log_dir.path, 13) == [1]
    seal(log_dir.path, 1)
    assert unsealed(log_dir.path, 13) == []
    run = read_ids(ids_path(log_dir.path, 1), whole=True)
    assert run is not None
    assert (len(run), damage(log_dir)) == (12, [])


def test_a_start_reads_no_ids_of_sealed_segments(log_dir: LogDir) -> None:
    """They are mapped, and those that are past their day not even that."""
    seal(log_dir.path, 1)
    with closing(log_dir.open()) as log:
        assert [run.is_mapped for run in log._window._runs] == [True, False]
    log_dir.clock.advance(24 * 3600 + 1)
    with closing(log_dir.open()) as log:
        assert len(log._window) == 0


# Damage


def flip(directory: LogDir, seq: int) -> None:
    directory.sql(
        1,
        "UPDATE block SET payload = cast(substr(payload, 1, length(payload) - 1) || x'ff' AS BLOB)"
        f" WHERE first_seq = {seq}",
    )


def lose(directory: LogDir, seq: int) -> None:
    directory.sql(1, f"DELETE FROM block WHERE first_seq = {seq}")


def exchange(directory: LogDir, seq: int) -> None:
    """Puts in a block that is whole but continues another one."""
    other = LogDir(directory.path.with_name("other"))
    other.append_each(*(f"other-{n}" for n in range(7)))
    directory.sql(
        1,
        f"ATTACH '{plain(other)}' AS other",
        f"INSERT OR REPLACE INTO block SELECT * FROM other.block WHERE first_seq = {seq}",
    )


@pytest.mark.parametrize(
    ("hurt", "told_as"),
    [
        pytest.param(lambda one: flip(one, 1), [(1, 1, BROKEN)], id="the first broken"),
        pytest.param(lambda one: flip(one, 4), [(4, 4, BROKEN)], id="one broken"),
        pytest.param(lambda one: flip(one, 11), [(11, 12, BROKEN)], id="the last broken"),
        pytest.param(lambda one: lose(one, 1), [(1, 1, MISSING)], id="the first missing"),
        pytest.param(lambda one: lose(one, 5), [(5, 5, MISSING)], id="one missing"),
        pytest.param(lambda one: lose(one, 11), [(11, 12, MISSING)], id="the last missing"),
        pytest.param(
            lambda one: exchange(one, 3),
            [(3, 3, UNCHAINED), (4, 4, UNCHAINED)],
            id="one exchanged",
        ),
        pytest.param(
            lambda one: one.sql(1, "UPDATE block SET n = 1000000 WHERE first_seq = 4"),
            [(4, 4, BROKEN)],
            id="a number of messages that is none",
        ),
    ],
)
def test_damage_is_told_alike_before_and_after_sealing(
    log_dir: LogDir, hurt: Callable[[LogDir], None], told_as: list[tuple[int, int, str]]
) -> None:
    """Sealing reads around it and hides none of it."""
    hurt(log_dir)
    whole = seqs(log_dir)
    assert [one for one in damage(log_dir) if one[0] > 0] == told_as
    seal(log_dir.path, 1)
    assert (damage(log_dir), seqs(log_dir)) == (told_as, whole)
    assert unsealed(log_dir.path, 13) == []


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("statement", "told_as"),
    [
        pytest.param(
            "UPDATE block SET payload = x'00' WHERE first_seq = 4", [(4, 6)], id="a block"
        ),
        pytest.param("UPDATE block SET crc = crc + 1 WHERE first_seq = 11", [(11, 12)], id="a crc"),
        pytest.param("DELETE FROM block WHERE first_seq = 8", [(8, 10)], id="a block lost"),
        pytest.param("DELETE FROM block WHERE first_seq = 11", [(11, 12)], id="the last lost"),
        pytest.param("UPDATE seal SET inner_crc = inner_crc - 1", [(11, 12)], id="the seal's crc"),
        pytest.param("UPDATE seal SET end_crc = end_crc - 1", [(13, 13)], id="the seal's end"),
        pytest.param("DELETE FROM seal", [(13, 13)], id="no seal"),
    ],
)
def test_damage_in_a_sealed_segment_is_told(
    log_dir: LogDir, statement: str, told_as: list[tuple[int, int]]
) -> None:
    """By range, and the rest is read."""
    seal(log_dir.path, 1)
    log_dir.sql(1, statement)
    assert [(first, last) for first, last, _ in damage(log_dir)] == told_as


def test_damaged_messages_do_not_hide_others_from_a_search(log_dir: LogDir) -> None:
    """Their own ids are still known by hash."""
    flip(log_dir, 2)
    for _ in range(2):
        with closing(sqlite_reader(log_dir.path)) as reader:
            assert [reader.find("website", one) for one in "abc"] == [[1], [], [3]]
        seal(log_dir.path, 1)


def test_a_segment_that_cannot_be_read_stays_unsealed(
    log_dir: LogDir, caplog: pytest.LogCaptureFixture
) -> None:
    """An error is logged, the file stays, and the next segment is sealed all the same."""
    log_dir.append_each("z", rolled=True)
    plain(log_dir).write_bytes(b"nothing of the kind" * 1000)
    with pytest.raises(Unreadable):
        seal(log_dir.path, 1)
    assert main([str(log_dir.path), "16"]) == 0
    assert "cannot be read" in caplog.text
    assert unsealed(log_dir.path, 16) == [1]
    assert ".db" in log_dir.files_of(1)
    assert log_dir.files_of(13) == SEALED


# What is not sealed


def test_closed_segments_are_listed_until_they_are_sealed(log_dir: LogDir) -> None:
    """The open one never is."""
    assert unsealed(log_dir.path, 13) == [1]
    seal(log_dir.path, 1)
    assert unsealed(log_dir.path, 13) == []


def test_the_last_segment_is_never_sealed(log_dir: LogDir) -> None:
    """A writer may have it open."""
    with pytest.raises(Unreadable, match="is the last"):
        seal(log_dir.path, 13)


def test_the_command_seals_what_is_closed_and_says_nothing(
    log_dir: LogDir, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit status 0; a second run has nothing to do."""
    for _ in range(2):
        assert main([str(log_dir.path), "13"]) == 0
        assert log_dir.segments() == [sealed(log_dir).name, plain(log_dir, 13).name]
    assert capfd.readouterr() == ("", "")


def test_retention_waits_for_sealing(log_dir: LogDir) -> None:
    """And gives up at once, since it runs where nothing may take long."""
    with alone_in(log_dir.path), pytest.raises(NotNow), alone_in(log_dir.path, wait=False):
        raise AssertionError("two at a time")


def test_a_full_disk_leaves_the_segment_as_it_is(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half made is left lying about; later it is sealed."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(rewriting, "write_ids", full)
        with pytest.raises(NotNow, match="No space left"):
            seal(log_dir.path, 1)
    assert log_dir.files_of(1) & {".sealed.db", ".sealed.new", ".ids.new"} == set()
    seal(log_dir.path, 1)
    assert damage(log_dir) == []


# Beside readers, and through crashes


@pytest.mark.usefixtures("small_blocks")
def test_whoever_is_reading_reads_on(log_dir: LogDir) -> None:
    """An iteration that began in the old file ends in it: no message twice, none left out."""
    expected = told(log_dir)
    with closing(sqlite_reader(log_dir.path)) as reader:
        blocks = reader.blocks(0)
        read = [next(blocks), next(blocks)]
        seal(log_dir.path, 1)
        read += blocks
        assert [entry.seq for block in read for entry in block.entries()] == list(range(1, 15))
        assert [one.raw for block in read for one in block.entries()] == [
            one[1] for one in expected
        ]
        assert reader.entry(5).raw == expected[4][1]
        assert [block.first_seq for block in reader.blocks(0)] == [1, 4, 7, 8, 11, 13, 14]


def test_every_crash_leaves_a_whole_log(log_dir: LogDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of the directory between all steps: each reads the same, and is finished by the next sealing."""
    assert ".db-wal" in log_dir.files_of(1)
    expected = told(log_dir)
    copies: list[LogDir] = []

    def copying(step: Callable[..., object]) -> Callable[..., object]:
        def stepped(path: Path, *arguments: object, **options: object) -> object:
            result = step(path, *arguments, **options)
            copies.append(log_dir.copied(f"copy-{len(copies)}"))
            return result

        return stepped

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", copying(Path.replace))
        patched.setattr(Path, "unlink", copying(Path.unlink))
        seal(log_dir.path, 1)
    assert len({frozenset(copy.files_of(1)) for copy in copies}) >= 4
    for copy in copies:
        assert (told(copy), damage(copy)) == (expected, [])
        for first_seq in unsealed(copy.path, 13):
            seal(copy.path, first_seq)
        assert copy.files_of(1) == SEALED
        assert (told(copy), damage(copy)) == (expected, [])
        copy.append_each("more")
        assert damage(copy) == []


def test_a_file_being_made_is_no_segment(log_dir: LogDir) -> None:
    """A crash while writing leaves a file that nobody takes for one; the next sealing replaces it."""
    growing = sealed(log_dir).with_suffix(".new")
    growing.write_bytes(b"half of a segment")
    expected = told(log_dir)
    seal(log_dir.path, 1)
    assert (told(log_dir), growing.exists()) == (expected, False)


def test_a_segment_that_is_being_read_for_long_is_sealed_later(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a transaction holds on to an older state, its journal cannot be emptied."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k | {"timeout": 0}))
    with closing(connect(plain(log_dir), isolation_level=None)) as late:
        late.execute("UPDATE probe SET times = times + 1")
        with closing(connect(plain(log_dir), isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM probe").fetchone()
            late.execute("UPDATE probe SET times = times + 1")
            with pytest.raises(NotNow, match="being read"):
                seal(log_dir.path, 1)
    seal(log_dir.path, 1)
    assert damage(log_dir) == []
