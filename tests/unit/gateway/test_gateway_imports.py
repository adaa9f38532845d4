"""What an import is made of: lines, the time of a message, chunks, the ids that the log holds, the way in."""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from data_dirs import DataDir
from factories import NOW_MS, envelope, message, source, workspace
from headgate.clock import ManualClock
from headgate.control import Import, Reply
from headgate.eventlog.block import id_hash
from headgate.eventlog.group_commit import GroupCommit
from headgate.eventlog.memory import MemoryStorage, memory_log
from headgate.eventlog.refused import RefusedRing
from headgate.eventlog.sealing import seal
from headgate.gateway import imported
from headgate.gateway.imports import known as known_module
from headgate.gateway.imports.chunk import BadLine, Chunk, chunk_of, of_forgotten, without
from headgate.gateway.imports.known import KnownIds
from headgate.gateway.imports.lines import Archive, BrokenArchive, Lines
from headgate.gateway.imports.own_time import NOW, at_its_own_time, own_time_ms
from headgate.spec.message import normalize

THEN = "2019-03-01T10:00:00.000Z"
LATER = "2019-03-01T12:30:00.000Z"


# lines


def lines_of(data: bytes) -> list[bytes | None]:
    """Every line of a file, numbered without a gap."""
    found: list[bytes | None] = []
    for lines in Archive(io.BytesIO(data)).lines():
        assert lines.first == len(found) + 1
        found += lines.texts
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="an empty file"),
        pytest.param(b"a\nb\n", [b"a", b"b"], id="a last line that ends"),
        pytest.param(b"a\nb", [b"a", b"b"], id="a last line that does not"),
        pytest.param(b"a\n\n\nb", [b"a", b"", b"", b"b"], id="blank lines keep their numbers"),
        pytest.param(b"\xef\xbb\xbfa\nb", [b"a", b"b"], id="a byte order mark"),
    ],
)
def test_a_file_is_its_lines_also_when_it_is_gzipped(data: bytes, expected: list[bytes]) -> None:
    """Whatever its name."""
    assert lines_of(data) == expected
    assert lines_of(gzip.compress(data)) == expected


def test_lines_go_on_over_blocks_and_over_joined_gzip_files() -> None:
    """A line may lie in two blocks, an archive in many members, one behind the other."""
    texts = [str(n).encode() * (n % 97) for n in range(40_000)]
    parts = [b"\n".join(texts[at : at + 9_000]) + b"\n" for at in range(0, len(texts), 9_000)]
    assert lines_of(b"".join(parts)) == texts
    assert lines_of(b"".join(map(gzip.compress, parts))) == texts


def test_a_line_too_long_to_be_a_message_costs_itself_alone_and_no_memory() -> None:
    """It is there as None; the lines around it are whole."""
    long = b"x" * 2_000_000
    assert lines_of(b"a\n" + long + b"\nb") == [b"a", None, b"b"]
    assert lines_of(b"a\n" + long) == [b"a", None]
    assert lines_of(long + b"\nb") == [None, b"b"]


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        pytest.param(lambda data: data[:-20], "ends early", id="cut off"),
        pytest.param(lambda data: data[:-8], "ends early", id="without its trailer"),
        pytest.param(lambda data: data + b"more", "damaged", id="with something behind it"),
        pytest.param(
            lambda data: data[:5000] + b"\xff" * 500 + data[5500:], "damaged", id="overwritten"
        ),
    ],
)
def test_broken_gzip_is_told_after_the_lines_before_it(cut: Any, said: str) -> None:
    """What could be read is read."""
    texts = [f"{n}-{n * 7919 % 65_537}".encode() for n in range(200_000)]
    found: list[bytes | None] = []
    with pytest.raises(BrokenArchive, match=said):
        for lines in Archive(io.BytesIO(cut(gzip.compress(b"\n".join(texts))))).lines():
            found += lines.texts
    assert found == texts[: len(found)]
    if said == "ends early":
        assert len(found) > 100_000


# times


@pytest.mark.parametrize(
    ("fields", "place", "timestamp"),
    [
        pytest.param({"timestamp": THEN}, "timestamp", THEN, id="its timestamp"),
        pytest.param(
            {"timestamp": THEN, "sentAt": LATER, "originalTimestamp": LATER},
            "timestamp",
            THEN,
            id="which sentAt does not shift",
        ),
        pytest.param(
            {"originalTimestamp": THEN, "sentAt": LATER}, "originalTimestamp", THEN, id="original"
        ),
        pytest.param({"sentAt": THEN, "receivedAt": LATER}, "sentAt", THEN, id="sent"),
        pytest.param({"receivedAt": THEN}, "receivedAt", THEN, id="received"),
        pytest.param({"timestamp": "soon", "sentAt": THEN}, "sentAt", THEN, id="an unreadable one"),
        pytest.param({"timestamp": 1551434400, "sentAt": "x"}, "timestamp", THEN, id="Unix time"),
        pytest.param({}, NOW, None, id="none"),
        pytest.param({"timestamp": "soon", "sentAt": "later"}, NOW, None, id="none to be read"),
    ],
)
def test_a_message_counts_at_its_own_time(
    fields: dict[str, Any], place: str, timestamp: str | None
) -> None:
    """As every later stage reads it; without any time of its own it counts as of now."""
    raw, found = at_its_own_time(message(**fields))
    assert found == place
    read = normalize(raw, envelope())
    now = normalize(message(), envelope())["timestamp"]
    assert read["timestamp"] == (timestamp or now)
    assert read["sentAt"] is None
    assert own_time_ms(raw) == (1551434400000 if timestamp else None)


def test_a_message_whose_timestamp_counts_stays_as_it_came() -> None:
    """Byte for byte."""
    raw = b'{ "type":"track",  "timestamp": "2019-03-01T10:00:00Z", "x": 1.10 }'
    assert at_its_own_time(raw) == (raw, "timestamp")


def test_what_stands_in_a_message_besides_its_times_stays_as_it_is_written() -> None:
    """Numbers too, which decoding and encoding might change."""
    raw, _ = at_its_own_time(b'{"properties":{"a":1.10,"b":1e3},"sentAt":"2019-03-01","type":"x"}')
    assert b'{"a":1.10,"b":1e3}' in raw


def test_a_time_in_a_message_with_odd_values_is_found() -> None:
    """They are mended as anywhere else."""
    raw, place = at_its_own_time(b'{"timestamp":"2019-03-01T10:00:00Z","sentAt":NaN}')
    assert (place, own_time_ms(raw)) == ("timestamp", 1551434400000)


# chunks


def chunk(*texts: bytes | None, first: int = 1) -> Chunk:
    return chunk_of(Lines(first, list(texts)), source="website", deliver=False)


def test_a_chunk_holds_the_messages_that_the_doors_would_take() -> None:
    """With what is read of them, and where each has its time from."""
    found = chunk(message("a", timestamp=THEN), b"", message(None, userId=None, anonymousId="x"))
    assert found.lines == 2
    assert (found.messages.ids[0], found.messages.users) == ("a", ["ann", ""])
    assert (found.messages.given, found.places) == ([1], ["timestamp", NOW])
    assert not found.bad


def test_bad_lines_are_named_with_their_reasons() -> None:
    """By their number in the file; the good ones around them are taken."""
    found = chunk(
        message("a"),
        b"[1, 2]",
        b"not json",
        message("b", type="charge"),
        message("c", userId=None),
        message("d", event=None),
        message("e", properties={"text": "x" * 40_000}),
        None,
        message("f"),
        first=11,
    )
    assert found.messages.ids == ["a", "f"]
    assert found.lines == 9
    assert found.bad == [
        BadLine(12, "malformed_message"),
        BadLine(13, "malformed_message"),
        BadLine(14, "unknown_type"),
        BadLine(15, "no_ids"),
        BadLine(16, "no_event_name"),
        BadLine(17, "message_too_large"),
        BadLine(18, "message_too_large"),
    ]


def test_a_message_without_an_id_gets_the_same_one_each_time() -> None:
    """Made of its bytes, so that different ones differ."""
    one, other = message(None), message(None, userId="bob")
    ids = chunk(one, other).messages.ids
    assert chunk(other, one).messages.ids == ids[::-1]
    assert len(set(ids)) == 2


def test_a_chunk_may_hold_more_messages_than_a_batch() -> None:
    """Lines are short sometimes."""
    found = chunk(*(message(None if n % 1000 == 7 else f"m-{n}", n=n) for n in range(6_000)))
    assert len(found.messages.ids) == 6_000
    assert found.messages.given == [7, 1007, 2007, 3007, 4007, 5007]
    assert not found.bad


def test_messages_can_be_left_out_of_a_chunk() -> None:
    """Everything stays in step."""
    messages = chunk(
        message("a"), message(None), message("c", type="identify"), message(None, userId="bob")
    ).messages
    left = without(messages, {0, 1})
    assert left.ids == messages.ids[2:]
    assert (left.users, left.types, left.given) == (["ann", "bob"], messages.types[2:], [1])
    assert left.raws == messages.raws[2:]


def test_what_a_user_sent_before_they_were_forgotten_is_found() -> None:
    """What they sent afterwards is not; a message without a time might be from before."""
    messages = chunk(
        message("before", timestamp=THEN),
        message("after", timestamp=LATER),
        message("ever"),
        message("other", userId="bob", timestamp=THEN),
    ).messages
    assert of_forgotten(messages, {"ann": 1551434400000}) == {0, 2}
    assert of_forgotten(messages, {}) == set()


# known ids


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    """Six messages in a sealed, a closed and the open segment; the newest is days younger than the rest."""
    found = DataDir(tmp_path / "data")
    found.accept("m-1", "m-2", segment_messages=2)
    found.clock.advance(10 * 24 * 3600)
    found.accept("m-3", "m-4", segment_messages=2)
    found.clock.advance(10 * 24 * 3600)
    found.accept("m-5", source="app", segment_messages=2)
    return found


def held(known: KnownIds, *ids: str, source: str = "website") -> list[bool]:
    return [bool(one) for one in known.hold([id_hash(source, one) for one in ids])]


def test_the_ids_of_a_log_are_known_at_any_age(data_dir: DataDir) -> None:
    """For their source; sealed or not."""
    seal(data_dir.path / "log", 1)
    assert (data_dir.path / "log" / "0000000000000001.ids").exists()
    known = KnownIds(data_dir.path / "log")
    assert held(known, "m-4", "m-9", "m-1", "m-3", "m-2") == [True, False, True, True, True]
    assert held(known, "m-5") == [False]
    assert held(known, "m-5", "m-1", source="app") == [True, False]
    known.close()


def test_ids_whose_file_is_damaged_are_read_from_the_messages(data_dir: DataDir) -> None:
    """Otherwise a message would be taken in a second time."""
    seal(data_dir.path / "log", 1)
    ids = data_dir.path / "log" / "0000000000000001.ids"
    ids.write_bytes(ids.read_bytes()[:64] + bytes(24))
    known = KnownIds(data_dir.path / "log")
    assert held(known, "m-1", "m-2", "m-3") == [True, True, True]
    known.close()


def test_what_is_appended_meanwhile_is_known_after_catching_up(data_dir: DataDir) -> None:
    """As by a server beside."""
    known = KnownIds(data_dir.path / "log")
    data_dir.accept("m-6")
    assert held(known, "m-6") == [False]
    known.catch_up()
    assert held(known, "m-6", "m-7", "m-1") == [True, False, True]
    known.close()


def test_an_empty_log_knows_nothing_at_first(tmp_path: Path) -> None:
    """Nor does it mind."""
    known = KnownIds(tmp_path / "log")
    assert held(known, "m-1") == [False]
    known.add(np.array([id_hash("website", "m-1")], np.uint64))
    assert held(known, "m-1", "m-2") == [True, False]
    known.close()


def test_ids_are_known_however_many_and_however_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, merged, in files, and too large to be merged any further."""
    monkeypatch.setattr(known_module, "_MAX_IN_MEMORY", 100)
    monkeypatch.setattr(known_module, "_MAX_MERGED", 1_000)
    random = np.random.default_rng(7)
    known = KnownIds(tmp_path / "log")
    added = [random.integers(0, 2**63, n, np.uint64) for n in random.integers(1, 90, 100)]
    for hashes in added:
        known.add(hashes)
    everything = np.concatenate(added)
    assert known.hold(everything.tolist()).all()
    assert not known.hold((everything + np.uint64(1)).tolist()).any()
    known.close()
    assert list(tmp_path.iterdir()) == []  # the files have no names


# the way in


class House:
    """A log in memory, and the gateway's side of an import."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock(NOW_MS)
        self.storage = MemoryStorage()
        self.log = memory_log(self.clock, self.storage)
        self.commits = GroupCommit(self.log, RefusedRing(directory / "refused.db"), lambda _: None)

    async def take(self, messages: Import, suppressed: Sequence[str] = ()) -> Reply:
        return await imported.take(
            messages,
            frozenset(suppressed),
            commits=self.commits,
            received_at_ms=self.clock.now_ms(),
            workspace=(3, workspace(source())),
        )

    def held(self) -> list[tuple[str, str]]:
        """(source, messageId) of what the log holds."""
        return [
            (one.envelope.source, normalize(one.raw, one.envelope, one.given_id)["messageId"])
            for block in self.log.blocks(0)
            for one in block.entries()
        ]


async def test_imported_messages_go_under_a_source_without_destinations(tmp_path: Path) -> None:
    """Unless they are to be delivered."""
    house = House(tmp_path)
    messages = chunk(message("a"), message(None)).messages
    assert await house.take(messages) == Reply()
    to_deliver = msgspec.structs.replace(chunk(message("b")).messages, deliver=True)
    assert await house.take(to_deliver) == Reply()
    assert house.held() == [
        ("import/website", "a"),
        ("import/website", messages.ids[1]),
        ("website", "b"),
    ]
    await house.commits.close()


async def test_nothing_is_taken_in_of_suppressed_users(tmp_path: Path) -> None:
    """How many messages that were is answered."""
    house = House(tmp_path)
    messages = chunk(message("a"), message("b", userId="bob"), message("c")).messages
    assert await house.take(messages, ["ann", "joe"]) == Reply(suppressed=2)
    assert house.held() == [("import/website", "b")]
    assert await house.take(messages, ["ann", "bob"]) == Reply(suppressed=3)
    await house.commits.close()


async def test_why_nothing_was_taken_in_is_answered(tmp_path: Path) -> None:
    """A source that has gone, a disk that is full."""
    house = House(tmp_path)
    messages = chunk(message("a")).messages
    house.storage.failure = "the disk is full"
    assert await house.take(messages) == Reply("the disk is full")
    gone = msgspec.structs.replace(messages, source="app")
    assert (await house.take(gone)).trouble == "there is no source 'app' any more"
    assert house.held() == []
    await house.commits.close()


async def test_an_import_waits_while_the_doors_are_crowded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not refused, as a caller at the doors is; its turn comes after theirs."""
    house = House(tmp_path)
    live = imported.arrival_of(
        msgspec.structs.replace(chunk(message("live")).messages, deliver=True),
        (),
        received_at_ms=NOW_MS,
        workspace_version=3,
    )
    monkeypatch.setattr("headgate.eventlog.group_commit.MAX_WAITING_BYTES", live.size_bytes)
    waiting = house.commits.append(live, [])
    assert await house.take(chunk(message("a")).messages) == Reply()
    assert waiting.done()
    assert house.held() == [("website", "live"), ("import/website", "a")]
    await house.commits.close()
