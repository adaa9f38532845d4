"""Forgetting leaves of a user's messages what their number, id and outcome need, and everybody else's alone."""

import io
import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from log_dirs import LogDir, damage, plain, sealed, seqs, told

from factories import NOW_MS, arrival, envelope, message
from headgate.eventlog import rewriting
from headgate.eventlog.block import BlockWriter, Contents, user_hashes
from headgate.eventlog.erasing import erase, main, segments_holding
from headgate.eventlog.interface import DUPLICATE, Arrival
from headgate.eventlog.rewriting import Unreadable, alone_in
from headgate.eventlog.sealing import seal, unsealed
from headgate.eventlog.sqlite import sqlite_reader
from headgate.spec.message import Envelope, normalize

TOLD_OF_A_REQUEST = {
    "ip": "192.0.2.1",
    "sent_at": "2026-11-23T00:00:00Z",
    "context": b'{"traits":{"email":"ann@example.com"}}',
    "integrations": b'{"All":true}',
    "repairs": ("NaN became null",),
}


def mixed(*users: str, first: int, **fields: object) -> Arrival:
    """One request with a message of each user, whose ids are numbered; the last id is given by the server."""
    ids = [f"m-{first + at}" for at in range(len(users))]
    last = len(users) - 1
    return Arrival(
        envelope=envelope(**fields),
        raws=[
            message(None if at == last else one, userId=user, properties={"secret": f"of {user}"})
            for at, (one, user) in enumerate(zip(ids, users, strict=True))
        ],
        ids=ids,
        users=list(users),
        types=bytearray([1] * len(users)),
        given=[last],
    )


@pytest.fixture
def log_dir(tmp_path: Path) -> LogDir:
    """Two closed segments, 1 to 6 and 7 to 8, and an open one with 9; ann has 1, 3, 4, 6, 9."""
    directory = LogDir(tmp_path / "log")
    directory.append(
        [mixed("ann", "bob", "ann", "ann", first=1, **TOLD_OF_A_REQUEST)],
        [mixed("bob", "ann", first=5)],
        rolled=True,
    )
    directory.append([mixed("bob", "eve", first=7)], rolled=True)
    directory.append([mixed("ann", first=9)])
    return directory


def erased(directory: LogDir) -> list[int]:
    return [seq for seq, _, envelope, _ in told(directory) if envelope.erased]


@pytest.mark.parametrize("is_sealed", [False, True], ids=["closed", "sealed"])
def test_a_user_s_messages_become_stubs(log_dir: LogDir, is_sealed: bool) -> None:
    """Type and messageId are left, nothing else; others' bytes and envelopes are as they were."""
    if is_sealed:
        seal(log_dir.path, 1)
    before = told(log_dir)
    assert erase(log_dir.path, 1, {"ann": 8}) == 4
    after = told(log_dir)
    assert erased(log_dir) == [1, 3, 4, 6]
    assert [after[at] for at in (1, 4, 6, 7, 8)] == [before[at] for at in (1, 4, 6, 7, 8)]
    for at in (0, 2, 3, 5):
        seq, raw, left, given_id = after[at]
        assert msgspec.json.decode(raw) == {"type": "track", "messageId": f"m-{seq}"}
        assert left == Envelope("website", NOW_MS, 1, erased=True)
        assert given_id == before[at][3]
    assert (damage(log_dir), unsealed(log_dir.path, 7)) == ([], [])


@pytest.mark.parametrize("is_sealed", [False, True], ids=["closed", "sealed"])
def test_nothing_of_the_user_is_left_in_the_files(log_dir: LogDir, is_sealed: bool) -> None:
    """Neither in a block nor in free space; the hash of the userId is gone, too."""
    if is_sealed:
        seal(log_dir.path, 1)
    erase(log_dir.path, 1, {"ann": 8})
    [hashed] = user_hashes(["ann"])
    left = sealed(log_dir).read_bytes()
    assert hashed.to_bytes(8, "little") not in left
    assert log_dir.files_of(1) == {".sealed.db", ".ids"}
    with closing(sqlite_reader(log_dir.path)) as reader:
        users = [hashed for block in reader.blocks(0) for hashed in block.user_hashes]
    assert [at for at, one in enumerate(users, 1) if one == 0] == [1, 3, 4, 6]


def test_only_messages_up_to_the_number_are_forgotten(log_dir: LogDir) -> None:
    """A user who comes back after asking is a new one."""
    assert erase(log_dir.path, 1, {"ann": 3, "bob": 4}) == 3
    assert erased(log_dir) == [1, 2, 3]


def test_erasing_twice_erases_nothing_more(log_dir: LogDir) -> None:
    """Neither is anything looked for a second time."""
    assert erase(log_dir.path, 1, {"ann": 8}) == 4
    assert segments_holding(log_dir.path, {"ann": 8}) == []
    assert erase(log_dir.path, 1, {"ann": 8}) == 0
    assert damage(log_dir) == []


def test_ids_of_erased_messages_are_known(log_dir: LogDir) -> None:
    """Duplicates are still dropped, and a trace finds what is left."""
    erase(log_dir.path, 1, {"ann": 8})
    with closing(log_dir.open()) as log:
        [answer] = log.append([arrival("m-1", "m-6", "new")])
        assert list(answer) == [DUPLICATE, DUPLICATE, 10]
        assert [log.find("website", f"m-{seq}") for seq in (1, 2, 4)] == [[1], [2], [4]]


def test_a_stub_is_a_message_to_every_later_stage(log_dir: LogDir) -> None:
    """It has its type and id, and no user."""
    erase(log_dir.path, 1, {"ann": 8})
    for seq, raw, left, given_id in told(log_dir):
        read = normalize(raw, left, given_id)
        assert (read["type"], read["messageId"]) == ("track", f"m-{seq}")
        assert ("userId" in read) == (seq not in (1, 3, 4, 6))
        assert "warnings" not in read or not left.erased


def test_a_user_id_that_is_a_number_is_compared_as_text(tmp_path: Path) -> None:
    """As the doors do it."""
    directory = LogDir(tmp_path / "log")
    raws = [message(f"m-{at}", userId=user) for at, user in enumerate((7, 7.0, "7", 8))]
    directory.append(
        [Arrival(envelope(), raws, [*"abcd"], ["7", "7", "7", "8"], bytearray([1] * 4))],
        rolled=True,
    )
    assert erase(directory.path, 1, {"7": 4}) == 3
    assert erased(directory) == [1, 2, 3]


def test_an_equal_hash_alone_erases_nothing(tmp_path: Path) -> None:
    """The columns say where to look; the message decides."""
    directory = LogDir(tmp_path / "log")
    raws = [message("a", userId="bob"), message("b", userId="ann")]
    directory.append(
        [Arrival(envelope(), raws, [*"ab"], ["ann", "ann"], bytearray([1, 1]))], rolled=True
    )
    assert segments_holding(directory.path, {"ann": 2}) == [1]
    assert erase(directory.path, 1, {"ann": 2}) == 1
    assert erased(directory) == [2]


def test_segments_of_others_are_not_rewritten(log_dir: LogDir) -> None:
    """Found by columns: the segments of ann, within her number; nobody's hash is looked for."""
    assert segments_holding(log_dir.path, {"ann": 9}) == [1, 9]
    assert segments_holding(log_dir.path, {"ann": 8}) == [1]
    assert segments_holding(log_dir.path, {"eve": 8, "": 100}) == [7]
    assert segments_holding(log_dir.path, {"nobody": 100}) == []
    seal(log_dir.path, 1)
    assert segments_holding(log_dir.path, {"ann": 9}) == [1, 9]


def test_a_segment_that_cannot_be_searched_stops_nothing(
    log_dir: LogDir, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told in the log, and the others are searched."""
    plain(log_dir).write_bytes(b"nothing of the kind" * 1000)
    assert segments_holding(log_dir.path, {"ann": 9, "eve": 9}) == [7, 9]
    assert "cannot be searched" in caplog.text


def test_the_open_segment_is_not_touched(log_dir: LogDir) -> None:
    """It has to be ended first."""
    with pytest.raises(Unreadable, match="is the last"):
        erase(log_dir.path, 9, {"ann": 9})


def test_the_neighbours_of_a_broken_block_are_erased(log_dir: LogDir) -> None:
    """The broken one stays as it is, and is told as before."""
    log_dir.sql(1, "UPDATE block SET crc = crc - 1 WHERE first_seq = 5")
    found = damage(log_dir)
    assert erase(log_dir.path, 1, {"ann": 9}) == 3
    assert (damage(log_dir), [one[:2] for one in found]) == (found, [(5, 6)])
    assert seqs(log_dir) == [1, 2, 3, 4, 7, 8, 9]


def test_a_block_that_continues_another_one_is_erased_as_well(log_dir: LogDir) -> None:
    """Its place in the chain is told as wrong before and after."""
    contents = Contents(
        [envelope()], [2], [message("m-5"), message("m-6")], [5, 6], user_hashes(["ann"] * 2),
        bytearray([1, 1]), {},
    )  # fmt: skip
    stranger = BlockWriter().build(5, 4711, contents)
    columns, payload = stranger.columns.hex(), stranger.payload.hex()
    log_dir.sql(
        1,
        f"UPDATE block SET prev_crc = 4711, crc = {stranger.crc}, columns = x'{columns}', "
        f"payload = x'{payload}' WHERE first_seq = 5",
    )
    found = damage(log_dir)
    assert [one[:2] for one in found] == [(5, 6), (7, 8)]
    assert erase(log_dir.path, 1, {"ann": 9}) == 5
    assert (damage(log_dir), erased(log_dir)) == (found, [1, 3, 4, 5, 6])


def test_where_a_crash_left_both_files_the_erased_one_holds(log_dir: LogDir) -> None:
    """And the other one goes when the segment is sealed the next time."""
    before = log_dir.copied("before")
    erase(log_dir.path, 1, {"ann": 8})
    for part in before.files_of(1):
        name = f"{1:016d}{part}"
        (log_dir.path / name).write_bytes((before.path / name).read_bytes())
    assert (erased(log_dir), damage(log_dir)) == ([1, 3, 4, 6], [])
    assert unsealed(log_dir.path, 7) == [1]
    seal(log_dir.path, 1)
    assert log_dir.files_of(1) == {".sealed.db", ".ids"}
    assert erased(log_dir) == [1, 3, 4, 6]


@pytest.mark.parametrize("is_sealed", [False, True], ids=["closed", "sealed"])
def test_every_crash_leaves_a_whole_log(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch, is_sealed: bool
) -> None:
    """Between all steps the messages are all there, erased or not, and erasing again finishes the work."""
    monkeypatch.setattr(rewriting, "BLOCK_MESSAGES", 3)
    if is_sealed:
        seal(log_dir.path, 1)
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
        erase(log_dir.path, 1, {"ann": 8})
    assert {tuple(erased(copy)) for copy in copies} == {(), (1, 3, 4, 6)}
    for copy in copies:
        assert (seqs(copy), damage(copy)) == (list(range(1, 10)), [])
        erase(copy.path, 1, {"ann": 8})
        assert (told(copy), damage(copy)) == (told(log_dir), [])
        assert copy.files_of(1) == {".sealed.db", ".ids"}


def run(log_dir: LogDir, monkeypatch: pytest.MonkeyPatch, **user_ids: int) -> int:
    body = io.BytesIO(json.dumps(user_ids).encode())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=body))
    return main([str(log_dir.path), "9"])


def test_the_command_erases_before_the_open_segment(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And says how many."""
    assert run(log_dir, monkeypatch, ann=9, eve=9) == 0
    assert json.loads(capfd.readouterr().out) == {"erased": 5}
    assert erased(log_dir) == [1, 3, 4, 6, 8]


def test_the_command_says_when_something_is_left_to_do(
    log_dir: LogDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 1, so that it is started again."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(rewriting, "write_ids", full)
        assert run(log_dir, patched, ann=9) == 1
    assert erased(log_dir) == []
    with alone_in(log_dir.path):
        pass  # nothing holds the directory
    assert run(log_dir, monkeypatch, ann=9) == 0
