"""Backup and restore through their own interface: what fits together, what is refused, what is left behind."""

import hashlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

import factories
from data_dirs import NOW_MS, DataDir, destination
from headgate.backup.archive import BackupError, Contents, NewerBackup, NotABackup
from headgate.backup.restoring import Unpacked
from headgate.backup.restoring import restore as restore_with
from headgate.backup.snapshot import MESSAGES, snapshot
from headgate.backup.taking import take as take_with
from headgate.clock import ManualClock
from headgate.delivery.facts import DELIVERED, Facts, Settled
from headgate.delivery.store import DeliveryStore
from headgate.destinations.catalog import CATALOG
from headgate.eventlog.block import Block
from headgate.eventlog.log import BlockLog
from headgate.eventlog.retention import retire
from headgate.eventlog.rewriting import alone_in
from headgate.eventlog.sealing import seal, unsealed
from headgate.eventlog.segments import NewerLog
from headgate.eventlog.sqlite import SqliteStorage, segment_paths
from headgate.eventlog.survey import survey
from headgate.records.audit import Audit, audit
from headgate.records.trace import trace
from headgate.stores import HalfRestored, NewerStore, check_versions

CUT_OFF = "it was cut off"


def take(data_dir: Path, file: Path, *, replace: bool = False) -> Contents:
    return take_with(
        data_dir, file, ManualClock(NOW_MS), replace=replace, progress=lambda done, total: None
    )


def restore(file: Path, data_dir: Path) -> Unpacked:
    return restore_with(file, data_dir, lambda done, total: None)


def audit_of(data_dir: Path) -> Audit:
    with DataDir(data_dir).opened() as stored:
        return audit(stored)


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """Three segments; the first settled, one message of the second discarded, one refused at the door."""
    data_dir = DataDir(tmp_path / "data")
    data_dir.use(destinations=[destination()])
    for ids in (("m-1", "m-2"), ("m-3", "m-4"), ("m-5",)):
        data_dir.accept(*ids, segment_messages=2)
    data_dir.settle(DELIVERED, 1, 2, attempt_id=data_dir.attempt(1, 2), cursor=2)
    data_dir.refuse("r-1", "unknown_write_key", source="")
    return data_dir


@pytest.fixture
def file(stored: DataDir, tmp_path: Path) -> Path:
    """A backup of it."""
    file = tmp_path / "headgate.backup"
    take(stored.path, file)
    return file


# There and back


def test_a_restored_directory_tells_what_the_first_one_told(
    stored: DataDir, file: Path, tmp_path: Path
) -> None:
    """Audit and trace are equal to the last byte, and no file is missing but locks and sockets."""
    restore(file, tmp_path / "back")
    assert audit_of(tmp_path / "back") == audit_of(stored.path)
    told = []
    for path in (stored.path, tmp_path / "back"):
        with DataDir(path).opened() as opened:
            told.append([trace(opened, CATALOG, id_).story for id_ in ("m-1", "m-5", "r-1")])
    assert told[0] == told[1]


def test_the_counts_are_those_of_the_copy(stored: DataDir, tmp_path: Path) -> None:
    """Messages and outcomes, as they are in the file."""
    contents = take(stored.path, tmp_path / "a.backup")
    assert (contents.messages, contents.outcomes, contents.unreadable) == (5, 2, [])


def test_a_restored_log_is_written_on(file: Path, tmp_path: Path) -> None:
    """Numbering and the chain of checksums go on where the backup ends."""
    restore(file, tmp_path / "back")
    back = DataDir(tmp_path / "back")
    back.accept("m-6")
    assert audit_of(back.path).is_sound
    assert audit_of(back.path).messages == 6


def test_a_workspace_alone_can_be_backed_up(tmp_path: Path) -> None:
    """Before the first message there is neither a log nor a fact."""
    DataDir(tmp_path / "data").use(destinations=[destination()])
    take(tmp_path / "data", tmp_path / "a.backup")
    restore(tmp_path / "a.backup", tmp_path / "back")
    assert audit_of(tmp_path / "back").accepted == 0


def test_backup_and_directory_are_for_their_owner_alone(file: Path, tmp_path: Path) -> None:
    """They hold write keys and messages."""
    restore(file, tmp_path / "back")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "back").rglob("*.db")}
    assert modes | {stat.S_IMODE(file.stat().st_mode)} == {0o600}
    directories = (tmp_path / "back", tmp_path / "back" / "log", tmp_path / "back" / "delivery")
    assert {stat.S_IMODE(path.stat().st_mode) for path in directories} == {0o700}


def test_any_tar_can_list_a_backup(file: Path) -> None:
    """The facts come before the log, the workspace last; locks and sockets stay where they are."""
    with tarfile.open(file) as archive:
        names = archive.getnames()
        assert {member.mode for member in archive} == {0o600}
    assert names[:4] == ["manifest.json", "delivery/delivery.db", "log/witness", "log/retired"]
    assert names[4:7] == [f"log/{first:016d}.db" for first in (1, 3, 5)]
    assert names[-3:] == ["refused.db", "workspace.db", "contents.json"]


def test_an_empty_directory_can_be_restored_into(file: Path, tmp_path: Path) -> None:
    """A mount point cannot be replaced, so what is restored is put into it."""
    (tmp_path / "back" / "lost+found").mkdir(parents=True)
    (tmp_path / "back").chmod(0o755)
    restore(file, tmp_path / "back")
    assert audit_of(tmp_path / "back").messages == 5
    assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o700


# Beside a running server


class Server:
    """Appends message after message, records an outcome for each, and seals what is closed."""

    def __init__(self, data_dir: DataDir) -> None:
        self._path = data_dir.path
        self._news = threading.Condition()
        self._rounds = 0
        self._is_running = True
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> "Server":
        self._work = self._pool.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_running = False
        self._pool.shutdown()
        self._work.result()

    def go_on(self) -> None:
        """Waits until it has written something more."""
        with self._news:
            wanted = self._rounds + 1
            self._news.wait_for(lambda: self._rounds >= wanted or self._work.done(), timeout=30)
            assert self._rounds >= wanted

    def _run(self) -> None:
        clock = ManualClock(NOW_MS)
        storage = SqliteStorage(self._path / "log", clock, max_segment_messages=20)
        with (
            closing(BlockLog(storage, clock)) as log,
            closing(DeliveryStore(self._path / "delivery" / "delivery.db")) as facts,
        ):
            while self._is_running:
                self._take_in(log, facts)
                with self._news:
                    self._rounds += 1
                    self._news.notify_all()

    def _take_in(self, log: BlockLog, facts: DeliveryStore) -> None:
        ((seq,),) = log.append([factories.arrival(f"w-{self._rounds}")])
        facts.record(Facts(settled=[Settled(1, DELIVERED, "", "", NOW_MS, [seq])]))
        facts.record(Facts(cursors={1: seq}))
        directory = self._path / "log"
        open_first_seq, _ = segment_paths(directory)[-1]
        for first_seq in unsealed(directory, open_first_seq):
            seal(directory, first_seq)


def test_every_backup_beside_a_server_is_sound(stored: DataDir, tmp_path: Path) -> None:
    """None has an outcome of a message that it does not hold, and the log of none has a gap."""
    stored.settle(DELIVERED, 3, 4, 5, cursor=5)
    before = 0
    with Server(stored) as server:
        for n in range(5):
            server.go_on()
            contents = take(stored.path, tmp_path / f"{n}.backup")
            restore(tmp_path / f"{n}.backup", tmp_path / f"back-{n}")
            found = audit_of(tmp_path / f"back-{n}")
            assert found.is_sound, (found.problems, found.damaged)
            assert found.delivered == contents.outcomes > before
            assert found.messages == contents.messages >= contents.outcomes
            before = contents.outcomes


def test_what_comes_after_the_first_moment_is_left_out_where_it_would_not_fit(
    stored: DataDir, tmp_path: Path
) -> None:
    """Facts and witness are those of before: they may not name what is in a segment that is begun later."""
    witness = (stored.path / "log" / "witness").read_bytes()
    with snapshot(stored.path) as parts:
        stored.accept("m-6", "m-7", "m-8", segment_messages=1)
        stored.settle(DELIVERED, 6, 7, 8, cursor=8)
        facts, witnessed = parts[:2]
        with facts.copied(tmp_path) as copy:
            assert copy.counted == 2
        with witnessed.copied(tmp_path) as copy:
            assert copy.file.read() == witness
        assert can_be_tidied(stored.path / "delivery" / "delivery.db")


def can_be_tidied(path: Path) -> bool:
    """Whether nobody keeps the -wal of a database from being emptied."""
    with closing(sqlite3.connect(path)) as db:
        is_busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy


def test_a_segment_that_goes_away_meanwhile_is_in_the_backup(
    stored: DataDir, tmp_path: Path
) -> None:
    """Sealed or retired: what the facts were taken with is held until it is copied."""
    log = stored.path / "log"
    with snapshot(stored.path) as parts:
        seal(log, 1)
        seal(log, 3)
        forever_ms = NOW_MS * 2
        assert retire(log, now_ms=forever_ms, settled_to=2, days=1, max_bytes=0)
        segments = [part for part in parts if part.counts == MESSAGES]
        assert [part.name for part in segments] == [f"log/{n:016d}.db" for n in (1, 3, 5)]
        for part in segments:
            with part.copied(tmp_path) as copy:
                (tmp_path / Path(part.name).name).write_bytes(copy.file.read())
    blocks = [item for item in survey(tmp_path) if isinstance(item, Block)]
    assert [block.n for block in blocks] == [2, 2, 1]


def test_no_segment_goes_away_between_the_facts_and_the_log(
    stored: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup waits for whoever seals or retires; then its facts know what they had settled."""
    is_waiting = threading.Event()

    def waited_for(directory: Path) -> AbstractContextManager[None]:
        is_waiting.set()
        return alone_in(directory)

    monkeypatch.setattr("headgate.backup.snapshot.alone_in", waited_for)
    with ThreadPoolExecutor(1) as pool:
        with alone_in(stored.path / "log"):
            taken = pool.submit(take, stored.path, stored.path.with_name("a.backup"))
            assert is_waiting.wait(timeout=30)
            stored.settle(DELIVERED, 3, 4, cursor=4)
            for part in (stored.path / "log").glob(f"{1:016d}.*"):
                part.unlink()
        contents = taken.result(timeout=30)
    assert (contents.messages, contents.outcomes) == (3, 4)


def test_a_sealed_log_is_restored_with_its_ids(stored: DataDir, tmp_path: Path) -> None:
    """Sealed segments and the ids beside them are files like others."""
    seal(stored.path / "log", 1)
    seal(stored.path / "log", 3)
    take(stored.path, tmp_path / "a.backup")
    restore(tmp_path / "a.backup", tmp_path / "back")
    names = [
        sorted(path.name for path in (at / "log").glob("*.ids"))
        for at in (stored.path, tmp_path / "back")
    ]
    assert names[0] == names[1] == [f"{n:016d}.ids" for n in (1, 3)]
    assert audit_of(tmp_path / "back") == audit_of(stored.path)


def test_a_segment_is_copied_in_one_form(stored: DataDir) -> None:
    """The sealed one, where a crash has left both."""
    plain = stored.path / "log" / f"{1:016d}.db"
    left = plain.read_bytes()
    seal(stored.path / "log", 1)
    plain.write_bytes(left)
    with snapshot(stored.path) as parts:
        names = [part.name for part in parts if f"{1:016d}" in part.name]
    assert names == [f"log/{1:016d}.{suffix}" for suffix in ("sealed.db", "ids")]


# Damage that was there before


def test_a_loss_in_the_log_is_told_by_the_backup_too(stored: DataDir, tmp_path: Path) -> None:
    """The witness is copied, not made anew: it would hide that the end is missing."""
    stored.lose_block(5)
    take(stored.path, tmp_path / "a.backup")
    restore(tmp_path / "a.backup", tmp_path / "back")
    assert audit_of(tmp_path / "back").damaged == audit_of(stored.path).damaged != []


def test_what_was_retired_and_what_was_lost_are_told_apart_by_the_backup_too(
    stored: DataDir, tmp_path: Path
) -> None:
    """The mark is copied: without it all that is missing at the beginning would look retired."""
    log = stored.path / "log"
    assert retire(log, now_ms=NOW_MS * 2, settled_to=2, days=1, max_bytes=0)
    take(stored.path, tmp_path / "whole.backup")
    restore(tmp_path / "whole.backup", tmp_path / "whole")
    assert audit_of(tmp_path / "whole").damaged == []
    (log / f"{3:016d}.db").unlink()
    take(stored.path, tmp_path / "lossy.backup")
    restore(tmp_path / "lossy.backup", tmp_path / "lossy")
    [damaged] = audit_of(tmp_path / "lossy").damaged
    assert (damaged.first, damaged.last) == (3, 4)


def test_a_damaged_segment_does_not_keep_the_others_from_being_saved(
    stored: DataDir, tmp_path: Path
) -> None:
    """It is copied as it is, and named."""
    path = stored.path / "log" / f"{3:016d}.db"
    path.write_bytes(b"nothing of the kind" * 1000)
    contents = take(stored.path, tmp_path / "a.backup")
    assert (contents.messages, contents.unreadable) == (3, [f"log/{3:016d}.db"])
    restore(tmp_path / "a.backup", tmp_path / "back")
    assert (tmp_path / "back" / "log" / path.name).read_bytes() == path.read_bytes()


def test_a_segment_that_opens_and_cannot_be_counted_is_named_too(
    stored: DataDir, tmp_path: Path
) -> None:
    """SQLite opens a file whose damage is further inside."""
    stored.sql(3, "DROP TABLE block")
    contents = take(stored.path, tmp_path / "a.backup")
    assert (contents.messages, contents.unreadable) == (3, [f"log/{3:016d}.db"])


# What is left when it does not work


def test_a_file_that_is_there_is_not_overwritten(stored: DataDir, file: Path) -> None:
    """Unless that is asked for."""
    before = file.read_bytes()
    with pytest.raises(BackupError, match="is there already"):
        take(stored.path, file)
    assert file.read_bytes() == before
    stored.accept("m-6")
    assert take(stored.path, file, replace=True).messages == 6


def test_a_directory_of_something_else_is_not_backed_up(tmp_path: Path) -> None:
    """And no file is begun."""
    (tmp_path / "data").mkdir()
    with pytest.raises(BackupError, match="is no data directory of Headgate"):
        take(tmp_path / "data", tmp_path / "a.backup")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_rest_of_an_earlier_part_is_not_kept(stored: DataDir, tmp_path: Path) -> None:
    """However much was written before it was cut off."""
    part = tmp_path / "a.backup.part"
    part.write_bytes(bytes(5_000_000))
    take(stored.path, tmp_path / "a.backup")
    assert (tmp_path / "a.backup").stat().st_size < 1_000_000
    assert not part.exists()


def test_a_backup_that_does_not_read_as_it_was_written_is_none(
    stored: DataDir, tmp_path: Path
) -> None:
    """A disk that loses what it was given is noticed at once."""

    def lose(done: int, total: int) -> None:
        if done > total // 2:
            with (tmp_path / "a.backup.part").open("r+b") as part:
                part.seek(-5_000, os.SEEK_END)
                part.write(b"\xff" * 100)

    with pytest.raises(BackupError, match="is damaged"):
        take_with(stored.path, tmp_path / "a.backup", ManualClock(NOW_MS), progress=lose)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_two_backups_do_not_write_to_one_file(stored: DataDir, tmp_path: Path) -> None:
    """The second one is refused, and the first goes on."""
    file = tmp_path / "a.backup"

    def begin_another(done: int, total: int) -> None:
        with pytest.raises(BackupError, match="another backup is being written"):
            take(stored.path, file)

    contents = take_with(stored.path, file, ManualClock(NOW_MS), progress=begin_another)
    restore(file, tmp_path / "back")
    assert contents.messages == 5


def test_a_failure_leaves_nothing(stored: DataDir, tmp_path: Path) -> None:
    """Neither the file nor its beginning."""

    def fail(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        take_with(stored.path, tmp_path / "a.backup", ManualClock(NOW_MS), progress=fail)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


KILLED = """
import os, signal, sys
from pathlib import Path
from headgate.backup.taking import take
from headgate.clock import SystemClock

def kill_halfway(done, total):
    if done > int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

take(Path(sys.argv[1]), Path(sys.argv[2]), SystemClock(), progress=kill_halfway)
"""


@pytest.mark.parametrize("after_bytes", [0, 50_000])
def test_a_backup_that_was_killed_leaves_only_its_part(
    stored: DataDir, tmp_path: Path, after_bytes: int
) -> None:
    """Which the next one replaces."""
    file = tmp_path / "to" / "a.backup"
    file.parent.mkdir()
    words: list[str | Path] = [sys.executable, "-c", KILLED, stored.path, file, str(after_bytes)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert [path.name for path in file.parent.iterdir()] == ["a.backup.part"]
    take(stored.path, file)
    assert [path.name for path in file.parent.iterdir()] == ["a.backup"]


# What restore refuses


def test_a_directory_with_something_in_it_is_left_alone(
    stored: DataDir, file: Path, tmp_path: Path
) -> None:
    """Nothing is restored over other data."""
    before = sorted(path.name for path in stored.path.rglob("*"))
    with pytest.raises(BackupError, match="is not empty, nothing was restored"):
        restore(file, stored.path)
    assert sorted(path.name for path in stored.path.rglob("*")) == before


def test_every_beginning_of_a_backup_is_refused_as_cut_off(file: Path, tmp_path: Path) -> None:
    """Wherever it ends: in a header, in a file, between two, before the table of contents."""
    whole = file.read_bytes()
    with tarfile.open(file) as archive:
        ends = [member.offset for member in archive.getmembers()[1:]]
    for size in (*ends, *(end + 100 for end in ends), *(end + 512 for end in ends)):
        file.write_bytes(whole[:size])
        with pytest.raises(BackupError, match=CUT_OFF):
            restore(file, tmp_path / "back")
        assert not (tmp_path / "back").exists()


def test_a_changed_byte_is_refused_wherever_it_is(file: Path, tmp_path: Path) -> None:
    """In what a header says, in a file, in the table of contents."""
    whole = bytearray(file.read_bytes())
    with tarfile.open(file) as archive:
        members = archive.getmembers()[1:]
    places = [
        place for one in members for place in (one.offset + 1, one.offset_data + one.size // 2)
    ]
    for place in places:
        whole[place] ^= 1
        file.write_bytes(whole)
        whole[place] ^= 1
        with pytest.raises(BackupError, match=r"is damaged"):
            restore(file, tmp_path / "back")
        assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing of the kind", b"\0" * 20_480, b"PK\3\4" * 5_000],
    ids=["empty", "short", "zeros", "other"],
)
def test_what_is_no_backup_is_named(content: bytes, tmp_path: Path) -> None:
    """In words, with what to do."""
    (tmp_path / "a.backup").write_bytes(content)
    with pytest.raises(NotABackup, match="is no backup of Headgate"):
        restore(tmp_path / "a.backup", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def handmade(path: Path, *members: tuple[tarfile.TarInfo, bytes], format_: int = 1) -> Path:
    """An archive that says of itself that it is a backup of exactly these members."""
    manifest = {"format": format_, "headgate": "9", "createdAt": "", "source": "data"}
    files = [
        {"name": one.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for one, content in members
    ]
    contents = {"messages": 0, "outcomes": 0, "unreadable": [], "files": files}
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, described in (("manifest.json", manifest), ("contents.json", contents)):
            encoded = msgspec.json.encode(described)
            if name == "contents.json":
                for one, content in members:
                    archive.addfile(one, BytesIO(content))
            header = tarfile.TarInfo(name)
            header.size = len(encoded)
            archive.addfile(header, BytesIO(encoded))
    return path


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A file of an archive, or what pretends to be one."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def test_a_handmade_archive_of_plain_files_is_taken(tmp_path: Path) -> None:
    """So what the next test refuses is refused for what is wrong with it."""
    file = handmade(tmp_path / "a.backup", member("log/0000000000000001.ids"))
    restore(file, tmp_path / "back")
    assert (tmp_path / "back/log/0000000000000001.ids").read_bytes() == b"x"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([member("../outside")], id="above"),
        pytest.param([member("log/../../outside")], id="above, inside out"),
        pytest.param([member("/tmp/outside")], id="absolute"),
        pytest.param([member("./x")], id="dot"),
        pytest.param([member("log//x")], id="no name"),
        pytest.param([member("log/.x")], id="hidden"),
        pytest.param([member("log/a b")], id="odd"),
        pytest.param([member("x" * 300)], id="long"),
        pytest.param([member("x", b"", type=tarfile.SYMTYPE, linkname="/etc")], id="symlink"),
        pytest.param([member("x", b"", type=tarfile.LNKTYPE, linkname="y")], id="hard link"),
        pytest.param([member("x", b"", type=tarfile.DIRTYPE)], id="directory"),
        pytest.param([member("x", b"", type=tarfile.FIFOTYPE)], id="pipe"),
        pytest.param([member("x", b"", type=tarfile.GNUTYPE_SPARSE)], id="sparse"),
        pytest.param([member("x"), member("x")], id="twice"),
    ],
)
def test_members_that_do_not_belong_are_refused(
    members: list[tuple[tarfile.TarInfo, bytes]], tmp_path: Path
) -> None:
    """Nothing is written outside of the directory, and none is left."""
    file = handmade(tmp_path / "a.backup", *members)
    with pytest.raises(BackupError, match="is damaged"):
        restore(file, tmp_path / "a" / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.backup"]
    assert list((tmp_path / "a").iterdir()) == []


def test_a_backup_of_a_later_format_is_refused(tmp_path: Path) -> None:
    """By its number, whatever else is in it."""
    file = handmade(tmp_path / "a.backup", format_=2)
    with pytest.raises(NewerBackup, match="made by a newer Headgate: expected format 1, found 2"):
        restore(file, tmp_path / "back")


def test_a_backup_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    """The table of contents names every one."""
    whole = handmade(tmp_path / "a.backup", member("refused.db")).read_bytes()
    whole = whole[:1024] + whole[2048:]  # the manifest, and what follows the file
    (tmp_path / "a.backup").write_bytes(whole)
    with pytest.raises(BackupError, match="expected 1 files, found 0"):
        restore(tmp_path / "a.backup", tmp_path / "back")


def test_a_description_of_more_than_16_mib_is_not_read(tmp_path: Path) -> None:
    """It would all have to be in memory."""
    manifest = b'{"format":1,"headgate":"9","createdAt":"","source":"data"}'
    manifest += b" " * 17 * 1024 * 1024
    header, _ = member("manifest.json", manifest)
    (tmp_path / "a.backup").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + manifest)
    with pytest.raises(NotABackup):
        restore(tmp_path / "a.backup", tmp_path / "back")


def test_the_workspace_is_put_in_place_last(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one a directory is none of Headgate's."""
    placed: list[str] = []
    rename = Path.rename

    def noted(path: Path, to: Path) -> Path:
        placed.append(path.name)
        renamed: Path = rename(path, to)
        return renamed

    monkeypatch.setattr(Path, "rename", noted)
    restore(file, tmp_path / "back")
    assert {"delivery", "log", "refused.db"} < set(placed)
    assert placed[-1] == "workspace.db"


# Stores of other versions


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1000")


@pytest.mark.parametrize("name", ["workspace.db", "delivery/delivery.db", "refused.db"])
def test_a_store_of_a_newer_headgate_is_named(name: str, stored: DataDir) -> None:
    """With what was found, what is known, and what to do."""
    make_newer(stored.path / name)
    with pytest.raises(NewerStore, match="written by a newer Headgate") as caught:
        check_versions(stored.path)
    assert (caught.value.path, caught.value.found) == (stored.path / name, 1000)
    assert caught.value.known < 1000


def test_a_log_of_a_newer_headgate_is_named(stored: DataDir) -> None:
    """Any of its segments may be."""
    stored.sql(3, "PRAGMA user_version = 1000")
    with pytest.raises(NewerLog, match="written by a newer Headgate"):
        check_versions(stored.path)


def test_what_a_newer_headgate_wrote_is_not_backed_up(stored: DataDir, tmp_path: Path) -> None:
    """It may have more stores than this one knows of."""
    make_newer(stored.path / "refused.db")
    with pytest.raises(NewerStore):
        take(stored.path, tmp_path / "a.backup")


def test_a_backup_with_a_newer_store_is_not_restored(stored: DataDir, file: Path) -> None:
    """Nothing is left behind: the directory would be of no use to this Headgate."""
    newer = stored.path / "refused.db"
    make_newer(newer)
    with closing(sqlite3.connect(newer)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = handmade(file, member("refused.db", newer.read_bytes()))
    with pytest.raises(NewerStore):
        restore(whole, stored.path.with_name("back"))
    assert not stored.path.with_name("back").exists()


def test_stores_of_this_headgate_pass(stored: DataDir, tmp_path: Path) -> None:
    """So does a directory without any, and one with damage, which is told by who opens it."""
    check_versions(stored.path)
    check_versions(tmp_path / "missing")
    (stored.path / "refused.db").write_bytes(b"nothing of the kind" * 1000)
    check_versions(stored.path)


def test_a_half_restored_directory_is_refused_by_all(stored: DataDir, file: Path) -> None:
    """A restore that was killed leaves everything under a name of its own until all of it is there."""
    back = stored.path.with_name("back")
    words: list[str | Path] = [sys.executable, "-c", KILLED_RESTORE, file, back]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert [path.name for path in back.iterdir()] == [".restoring"]
    for refused in (lambda: check_versions(back), lambda: restore(file, back)):
        with pytest.raises(HalfRestored, match="empty the directory and restore again"):
            refused()


KILLED_RESTORE = """
import os, signal, sys
from pathlib import Path
from headgate.backup.restoring import restore

restore(Path(sys.argv[1]), Path(sys.argv[2]), lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


# Where nothing may be written

cannot_mount = os.geteuid() != 0 and "CI" not in os.environ


@pytest.fixture
def read_only(stored: DataDir, tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Makes a copy of the directory on a file system that takes no writes; its path."""
    mounted = tmp_path / "mounted"

    def mount() -> Path:
        mounted.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted], check=True)
        subprocess.run(["cp", "-r", stored.path, mounted], check=True)
        subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
        return mounted / stored.path.name

    yield mount
    subprocess.run(["umount", "--lazy", mounted], check=True)


@pytest.mark.skipif(cannot_mount, reason="only root can mount a file system")
def test_a_copy_on_a_read_only_file_system_can_be_read_and_backed_up(
    stored: DataDir, read_only: Callable[[], Path], tmp_path: Path
) -> None:
    """Audited like the original, and backed up to somewhere else."""
    copy = read_only()
    assert audit_of(copy) == audit_of(stored.path)
    assert take(copy, tmp_path / "a.backup").messages == 5
