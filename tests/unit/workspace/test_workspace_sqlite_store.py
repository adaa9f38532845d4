"""What SQLite adds to the workspace store's contract: processes, files, schemas."""

import gc
import multiprocessing
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headgate.clock import ManualClock
from headgate.queries import load_migrations
from headgate.workspace import database
from headgate.workspace.errors import Conflict, StoreBusy, UnusableStore
from headgate.workspace.model import Document
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader, SqlitePrivacyStore
from headgate.workspace.sqlite_store import SqliteWorkspaceReader, SqliteWorkspaceStore

CLOCK = ManualClock()
MIGRATIONS = load_migrations("headgate.workspace")


def document(*slugs: str) -> Document:
    return {"sources": [], "destinations": [{"slug": slug} for slug in slugs]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder % ü?" / "workspace.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteWorkspaceStore]:
    """An open store, in a directory whose name needs escaping in a URI."""
    path.parent.mkdir()
    opened = SqliteWorkspaceStore(path, CLOCK)
    yield opened
    opened.close()


def test_what_was_committed_is_there_after_a_restart(
    store: SqliteWorkspaceStore, path: Path
) -> None:
    """Versions, ids and the applied file outlive the process."""
    store.commit(document("a"), actor="apply", applied_digest="d")
    store.close()
    again = SqliteWorkspaceStore(path, CLOCK)
    assert again.current().document == document("a")
    assert again.destination_ids(1) == {"a": 1}
    assert again.applied_file_digest() == "d"
    again.close()


def test_a_commit_is_fsynced(store: SqliteWorkspaceStore) -> None:
    """WAL with synchronous FULL (2): the commit returns after its fsync."""
    connection = store._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_new_store_leaves_nothing_beside_it(store: SqliteWorkspaceStore, path: Path) -> None:
    """What it was built in is gone."""
    assert {file.name.partition("-")[0] for file in path.parent.iterdir()} == {"workspace.db"}


def test_a_reader_sees_commits_of_another_process(store: SqliteWorkspaceStore, path: Path) -> None:
    """Reading needs no reopening."""
    reader = SqliteWorkspaceReader(path)
    assert reader.current().number == 0
    store.commit(document("a"), actor="apply")
    assert reader.current().number == 1
    reader.close()


def test_a_reader_cannot_write(store: SqliteWorkspaceStore, path: Path) -> None:
    """A command that only reads has no way to change anything."""
    reader = SqliteWorkspaceReader(path)
    assert not hasattr(reader, "commit")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM versions")
    reader.close()


def test_a_copy_without_its_marker_files_can_be_read(
    store: SqliteWorkspaceStore, path: Path, tmp_path: Path
) -> None:
    """A backup is one file; SQLite's -wal and -shm need not be there."""
    store.commit(document("a"), actor="apply")
    store.close()
    copy = tmp_path / "copy.db"
    shutil.copyfile(path, copy)
    reader = SqliteWorkspaceReader(copy)
    assert reader.current().document == document("a")
    reader.close()


def test_a_store_in_use_can_be_read_by_a_second_command(
    store: SqliteWorkspaceStore, path: Path
) -> None:
    """Marker files of a running server are no reason to refuse, also while it commits."""
    store.commit(document("a"), actor="apply")
    assert path.with_name("workspace.db-wal").exists()
    store._connection.execute("BEGIN IMMEDIATE")
    reader = SqliteWorkspaceReader(path)
    assert reader.current().number == 1
    reader.close()
    store._connection.execute("ROLLBACK")


def _read_as_nobody(path: Path) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    reader = SqliteWorkspaceReader(path)
    assert reader.current().number == 1
    reader.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_store_in_a_directory_without_write_permission_can_be_read(
    store: SqliteWorkspaceStore, path: Path
) -> None:
    """SQLite cannot make its marker files there; the database is read without them."""
    store.commit(document("a"), actor="apply")
    store.close()
    for folder in (path.parent, *path.parent.parents[:3]):
        folder.chmod(0o755)
    child = multiprocessing.get_context("fork").Process(target=_read_as_nobody, args=(path,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert [file.name for file in path.parent.iterdir()] == ["workspace.db"]


def test_a_missing_store_is_told_with_what_to_do(tmp_path: Path) -> None:
    """A reading command in the wrong directory names the directory."""
    with pytest.raises(UnusableStore) as refused:
        SqliteWorkspaceReader(tmp_path / "workspace.db")
    assert str(refused.value) == (
        f"no workspace in {tmp_path}: start headgate serve with this data directory once, or apply"
        " a file to it"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_newer_headgate_is_refused(store: SqliteWorkspaceStore, path: Path) -> None:
    """Going back to an older Headgate never damages what a newer one wrote."""
    store._connection.execute("PRAGMA user_version = 99")
    store.close()
    sentence = (
        f"{path} was written by a newer Headgate: expected schema {len(MIGRATIONS)} or"
        " older, found 99; use that Headgate, or restore a backup made by this one"
    )
    with pytest.raises(UnusableStore) as refused:
        SqliteWorkspaceStore(path, CLOCK)
    assert str(refused.value) == sentence
    with pytest.raises(UnusableStore) as refused:
        SqliteWorkspaceReader(path)
    assert str(refused.value) == sentence


def test_an_older_store_is_upgraded_by_writers_and_refused_by_readers(
    store: SqliteWorkspaceStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader changes nothing, so it says who can."""
    store.commit(document("a"), actor="apply")
    store.close()
    migrations = [*MIGRATIONS, "CREATE TABLE later (x INTEGER);\n"]
    monkeypatch.setattr(database, "load_migrations", lambda package: migrations)
    sentence = f"was written by an older Headgate: expected schema {len(migrations)}"
    with pytest.raises(UnusableStore, match=sentence):
        SqliteWorkspaceReader(path)
    upgraded = SqliteWorkspaceStore(path, CLOCK)
    assert upgraded.current().document == document("a")
    upgraded.close()
    reader = SqliteWorkspaceReader(path)
    assert reader._connection.execute("SELECT count(*) FROM later").fetchone() == (0,)
    reader.close()


def test_a_migration_that_fails_changes_nothing(
    store: SqliteWorkspaceStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of an upgrade or none of it."""
    store.close()
    migrations = [*MIGRATIONS, "CREATE TABLE later (x INTEGER);\nNONSENSE;\n"]
    monkeypatch.setattr(database, "load_migrations", lambda package: migrations)
    with pytest.raises(UnusableStore, match="NONSENSE"):
        SqliteWorkspaceStore(path, CLOCK)
    monkeypatch.undo()
    SqliteWorkspaceStore(path, CLOCK).close()


def test_the_schema_file_is_the_sum_of_the_migrations(store: SqliteWorkspaceStore) -> None:
    """What people read is what runs."""
    described = sqlite3.connect(":memory:")
    schema = Path(database.__file__).with_name("schema.sql").read_text()
    described.executescript(schema)
    question = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"
    assert store._connection.execute(question).fetchall() == described.execute(question).fetchall()
    described.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("end_destination", "destinations_present"),
        ("suppression_changes_of", "suppression_changes_by_user"),
        ("open_deletions", "deletions_open"),
        ("take_up_deletions", "deletions_open"),
        ("deletions_in_engage", "deletions_in_engage"),
        ("open_remote_deletions", "remote_deletions_open"),
    ],
)
def test_a_query_uses_its_index(store: SqliteWorkspaceStore, query: str, index: str) -> None:
    """The plan names the index that was made for it."""
    values = {"slug": "a", "version": 1, "user_id": "ann", "seq": 1}
    plan = store._connection.execute(f"EXPLAIN QUERY PLAN {database.SQL[query]}", values).fetchall()
    assert index in str(plan)


def test_a_store_of_the_first_schema_is_upgraded_with_what_it_holds(path: Path) -> None:
    """By whoever opens it for writing; versions stay, and privacy has its place."""
    path.parent.mkdir()
    old = sqlite3.connect(path)
    old.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
    old.execute(
        "INSERT INTO versions VALUES (1, 0, 'apply', '{\"sources\":[],\"destinations\":[]}')"
    )
    old.commit()
    old.close()
    with pytest.raises(UnusableStore, match="was written by an older Headgate"):
        SqlitePrivacyReader(path)
    privacy = SqlitePrivacyStore(path, CLOCK)
    assert privacy.suppress("ann", actor="root")
    privacy.close()
    reader = SqliteWorkspaceReader(path)
    assert (reader.current().number, reader.current().actor) == (1, "apply")
    reader.close()


def test_a_deletion_that_was_complete_before_there_was_engage_stays_complete(path: Path) -> None:
    """One that was not is followed in Engage as well."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as old:
        old.executescript(f"{MIGRATIONS[0]} {MIGRATIONS[1]} PRAGMA user_version = 2;")
        old.execute("INSERT INTO deletions VALUES (1, 'ann', 1, 'root', 9, 2, 3)")
        old.execute("INSERT INTO deletions VALUES (2, 'bob', 4, 'root', 9, 5, NULL)")
        old.commit()
    with closing(SqlitePrivacyStore(path, CLOCK)) as privacy:
        assert [one.history_erased_at_ms for one in privacy.deletions()] == [3, None]
        assert [one.user_id for one in privacy.deletions_in_engage()] == ["bob"]


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Something else under that name is told, not overwritten."""
    path.parent.mkdir()
    path.write_text("not a database " * 100)
    with pytest.raises(UnusableStore, match="cannot be used: file is not a database"):
        SqliteWorkspaceStore(path, CLOCK)
    with pytest.raises(UnusableStore, match="cannot be used: file is not a database"):
        SqliteWorkspaceReader(path)
    assert path.read_text().startswith("not a database")


def test_a_store_locked_past_the_deadline_is_busy(
    store: SqliteWorkspaceStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that hangs elsewhere ends in a sentence, and nothing was changed."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0)
    second = SqliteWorkspaceStore(path, CLOCK)
    store._connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="is being changed by another process"):
        second.commit(document("a"), actor="apply")
    store._connection.execute("ROLLBACK")
    assert second.commit(document("a"), actor="apply") == 1
    second.close()


def _add_own_slugs(path: Path, worker: int, times: int) -> None:
    """Open the store and add slugs one by one, starting over whenever somebody else was faster."""
    store = SqliteWorkspaceStore(path, CLOCK)
    for turn in range(times):
        while True:
            current = store.current()
            slugs = [one["slug"] for one in current.document["destinations"]]
            wanted = document(*slugs, f"{worker}-{turn}")
            try:
                store.commit(wanted, actor=str(worker), expected_version=current.number)
                break
            except Conflict:
                continue
    store.close()


def test_processes_that_start_and_commit_together_lose_nothing(tmp_path: Path) -> None:
    """The first start is a race as well: one makes the store, all use it."""
    path = tmp_path / "workspace.db"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_own_slugs, args=(path, one, 10)) for one in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    reader = SqliteWorkspaceReader(path)
    assert reader.current().number == 40
    assert len(set(reader.destination_ids(40).values())) == 40
    assert [reader.at(number).number for number in range(41)] == list(range(41))
    reader.close()


def test_opening_and_closing_leaves_no_files_open(path: Path) -> None:
    """Fifty rounds of both kinds, refused ones included."""
    path.parent.mkdir()
    gc.collect()  # what earlier tests left open is closed now, not in between
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a path object would hold one itself)
    for _ in range(50):
        SqliteWorkspaceStore(path, CLOCK).close()
        SqliteWorkspaceReader(path).close()
        with pytest.raises(UnusableStore):
            SqliteWorkspaceReader(path.with_name("missing.db"))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
