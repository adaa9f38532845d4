"""Engage in a backup: its store, its history and what was asked of it fit to the log, whatever goes on meanwhile."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from data_dirs import NOW_MS
from engage_dirs import EngageDir, audience
from engage_reading import read_on
from headgate.backup import snapshot
from headgate.backup.archive import BackupError, Contents
from headgate.backup.restoring import restore
from headgate.backup.taking import take
from headgate.clock import ManualClock
from headgate.engage.history.archiving import archive
from headgate.engage.history.parts import history_directory, parts_in, writing
from headgate.engage.history.verify import Difference, verify
from headgate.engage.history.view import opened
from headgate.engage.reader import EngageReader, seen_to
from headgate.engage.requests import Requests
from headgate.engage.resuming import take_off
from headgate.engage.store import EngageStore
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.audit import audit
from headgate.stores import ENGAGE, NewerStore, check_versions

BUYERS = audience("Buyers", "event('Order Completed').count() >= 2", "heap")
ORDERS = {"name": "Orders", "definition": "event('Order Completed').count()"}
BACK_SOON_S = 60


@pytest.fixture
def stored(tmp_path: Path) -> EngageDir:
    """Ann has bought twice, which history has, and once more, which it has not."""
    data_dir = EngageDir(tmp_path / "data")
    data_dir.configure(BUYERS, traits=[ORDERS])
    data_dir.track("Order Completed", "m-1")
    data_dir.track("Order Completed", "m-2")
    data_dir.compute()
    done = archive(data_dir.path)
    with closing(EngageStore(data_dir.path / ENGAGE)) as store:
        store.archived(done)
    data_dir.track("Order Completed", "m-3")
    data_dir.compute()
    data_dir.pass_by(0)
    return data_dir


def there_and_back(stored: EngageDir, meanwhile: Callable[[], None] = lambda: None) -> EngageDir:
    """The directory restored from a backup, a minute later.

    `meanwhile` happens once everything is opened, when the first bytes are copied.
    """
    left = [meanwhile]

    def progress(done: int, total: int) -> None:
        if left:
            left.pop()()

    file = stored.path.with_name("a.backup")
    back = stored.path.with_name("back")
    take(stored.path, file, ManualClock(NOW_MS), progress=progress)
    restore(file, back, lambda done, total: None)
    restored = EngageDir(back)
    restored.clock.advance((stored.clock.now_ms() - restored.clock.now_ms()) / 1000 + BACK_SOON_S)
    return restored


def values(data_dir: EngageDir) -> list[dict[int, Any]]:
    with closing(EngageReader(data_dir.path / ENGAGE)) as reader:
        return [profile.values for profile in reader.profiles()]


def said_in_log(data_dir: EngageDir) -> list[tuple[str, str]]:
    """Source and bytes of every message in the log."""
    with closing(sqlite_reader(data_dir.path / "log")) as log:
        return [
            (one.envelope.source, one.raw.decode())
            for block in log.blocks(0)
            for one in block.entries()
        ]


def disagreements(data_dir: EngageDir) -> list[Difference]:
    """What the second opinion, from the log and history, says otherwise."""
    with opened(data_dir.path) as view:
        return [one for one in verify(view) if isinstance(one, Difference)]


def test_what_was_backed_up_goes_on_where_it_was(stored: EngageDir) -> None:
    """Values, history and requests are there; a message more counts in both alike, and the second opinion agrees."""
    Requests(stored.path).ask("a", "buyers")
    back = there_and_back(stored)
    assert values(back) == values(stored) == [{1: True, 2: 3}]
    assert list(Requests(back.path).waiting().values()) == ["buyers"]
    assert [part.path.name for part in parts_in(history_directory(back.path))] == [
        part.path.name for part in parts_in(history_directory(stored.path))
    ]
    back.track("Order Completed", "m-4")
    back.compute()
    assert values(back) == [{1: True, 2: 4}]
    assert disagreements(back) == []
    with back.opened() as directory:
        assert audit(directory).broken == []


def test_what_arrives_and_is_computed_meanwhile_is_neither_lost_nor_counted_twice(
    stored: EngageDir,
) -> None:
    """The log goes further than Engage's store in a backup, never the other way round."""

    def meanwhile() -> None:
        stored.track("Order Completed", "m-4")
        stored.compute()

    back = there_and_back(stored, meanwhile)
    with closing(sqlite_reader(back.path / "log")) as log:
        assert seen_to(back.path / ENGAGE) <= log.last_seq()
        assert log.last_seq() > seen_to(back.path / ENGAGE)
    back.compute()
    assert values(back) == values(stored) == [{1: True, 2: 4}]
    assert disagreements(back) == []


def test_what_is_handed_over_meanwhile_is_in_the_log_once(stored: EngageDir) -> None:
    """However late the restored server starts: the outbox gives up what the log has."""
    stored.track("Order Completed", "b-1", userId="bob")
    stored.track("Order Completed", "b-2", userId="bob")
    read_on(stored)
    before = len(said_in_log(stored))

    def meanwhile() -> None:
        stored.compute()

    back = there_and_back(stored, meanwhile)
    handed_over = len(said_in_log(back)) - before
    assert handed_over > 0
    with (
        closing(EngageStore(back.path / ENGAGE)) as store,
        closing(sqlite_reader(back.path / "log")) as log,
    ):
        waiting = store.outbox_count()
        assert waiting == handed_over
        assert take_off(store, log) == handed_over
    back.compute()
    assert said_in_log(back) == said_in_log(stored)


def test_history_that_is_written_meanwhile_is_left_to_the_next_time(stored: EngageDir) -> None:
    """What the backup's history lacks, its store remembers, and the log has."""

    def meanwhile() -> None:
        done = archive(stored.path)
        with closing(EngageStore(stored.path / ENGAGE)) as store:
            store.archived(done)

    back = there_and_back(stored, meanwhile)
    assert len(parts_in(history_directory(back.path))) == 1
    assert len(parts_in(history_directory(stored.path))) == 2
    assert disagreements(back) == []
    back.track("Order Completed", "m-4")
    back.compute()
    archive(back.path)
    assert disagreements(back) == []


def test_a_backup_waits_for_whoever_writes_history(
    stored: EngageDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gives up after a while, with a word about it and nothing left behind."""
    monkeypatch.setattr(snapshot, "_HISTORY_TIMEOUT_S", 0.05)
    being_written = pytest.raises(BackupError, match="Engage's history is being written: try again")
    with writing(history_directory(stored.path), 1.0), being_written:
        there_and_back(stored)
    assert not list(stored.path.parent.glob("a.backup*"))
    assert values(there_and_back(stored)) == values(stored)


def test_a_damaged_store_goes_into_the_backup_as_it_is(stored: EngageDir) -> None:
    """Named, and with everything else whole."""
    for path in (stored.path / "engage").glob("engage.db*"):
        path.unlink()
    (stored.path / ENGAGE).write_bytes(b"nothing of the kind" * 1000)
    contents: Contents = take(
        stored.path,
        stored.path.with_name("a.backup"),
        ManualClock(NOW_MS),
        progress=lambda done, total: None,
    )
    assert contents.unreadable == [ENGAGE]
    assert contents.messages == 4


def test_a_store_of_a_newer_headgate_is_refused_before_anything_is_touched(
    stored: EngageDir,
) -> None:
    """As every other store."""
    with closing(EngageStore(stored.path / ENGAGE)) as store:
        store._db.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerStore, match=r"engage\.db was written by a newer Headgate"):
        check_versions(stored.path)


def test_a_backfill_goes_on_by_the_file_that_it_was_in(stored: EngageDir) -> None:
    """Its offset is in the store, and would be another place in a file made anew."""
    file = stored.path / "engage" / "backfill-1.jsonl"
    file.write_bytes(b"{}\n")
    back = there_and_back(stored, file.unlink)
    assert (back.path / "engage" / file.name).read_bytes() == b"{}\n"
