"""backup, restore, and the commands that read, called on a backup: what they print and how they end."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

import processes
from data_dirs import DataDir, destination
from headgate.cli import app
from headgate.delivery.facts import DELIVERED

READING = ("export", "audit", "status", "trace m-1")


def call(*words: str | Path) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


def json_of(result: Result) -> Any:
    return msgspec.json.decode(result.stdout)


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with one delivered message and two that are pending."""
    data_dir = DataDir(tmp_path / "data")
    data_dir.use(destinations=[destination()])
    data_dir.accept("m-1", "m-2", "m-3")
    data_dir.settle(DELIVERED, 1, attempt_id=data_dir.attempt(1), cursor=1)
    return data_dir


@pytest.fixture
def file(stored: DataDir, tmp_path: Path) -> Path:
    """A backup of it."""
    result = call("backup", tmp_path / "a.backup", "--data-dir", stored.path)
    assert result.exit_code == 0, result.output
    return tmp_path / "a.backup"


# backup


def test_backup_says_what_the_file_holds(stored: DataDir, tmp_path: Path) -> None:
    """Words on stderr, nothing on stdout."""
    result = call("backup", tmp_path / "a.backup", "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "a.backup holds 3 messages and 1 outcome, " in result.stderr
    assert "read back and is whole" in result.stderr


def test_backup_for_programs_is_one_object(stored: DataDir, tmp_path: Path) -> None:
    """With the figures that people are told."""
    told = json_of(call("backup", tmp_path / "a.backup", "--data-dir", stored.path, "--json"))
    assert told == {
        "file": str(tmp_path / "a.backup"),
        "bytes": (tmp_path / "a.backup").stat().st_size,
        "messages": 3,
        "outcomes": 1,
        "unreadable": [],
    }


def test_backup_names_what_was_damaged_before(stored: DataDir, tmp_path: Path) -> None:
    """The backup is made all the same: what is left is worth it."""
    (stored.path / "delivery" / "delivery.db").write_bytes(b"nothing of the kind" * 1000)
    result = call("backup", tmp_path / "a.backup", "--data-dir", stored.path)
    assert result.exit_code == 0
    assert "delivery/delivery.db is damaged and was copied as it is" in result.stderr


def test_backup_replaces_a_file_when_forced(stored: DataDir, file: Path) -> None:
    """Without --force the answer is no, and says so."""
    again = ("backup", file, "--data-dir", stored.path)
    result = call(*again)
    assert result.exit_code == 1
    assert "is there already: name another, or replace it with --force" in result.stderr
    assert call(*again, "--force").exit_code == 0


def test_backup_of_no_directory_is_wrong_usage(tmp_path: Path) -> None:
    """Exit status 2; the same for a file that has nowhere to go, and for a backup of a backup."""
    DataDir(tmp_path / "data").use(destinations=[destination()])
    (tmp_path / "a.backup").write_bytes(b"")
    for words in (
        ("backup", tmp_path / "b.backup", "--data-dir", tmp_path / "missing"),
        ("backup", tmp_path / "b.backup", "--data-dir", tmp_path / "a.backup"),
        ("backup", tmp_path / "missing" / "b.backup", "--data-dir", tmp_path / "data"),
        ("backup", tmp_path, "--data-dir", tmp_path / "data"),
    ):
        assert call(*words).exit_code == 2, words


# restore


def test_restore_says_what_will_happen_and_runs_the_audit(file: Path, tmp_path: Path) -> None:
    """What was delivered later is sent again; the audit is sound."""
    result = call("restore", file, "--data-dir", tmp_path / "back")
    assert (result.exit_code, result.stdout) == (0, "")
    for words in (
        "with 3 messages and 1 outcome",
        "sent again under the same idempotency keys",
        "The audit is sound: 3 accepted, 2 of them pending.",
    ):
        assert words in result.stderr
    assert call("audit", "--data-dir", tmp_path / "back").exit_code == 0


def test_restore_for_programs_is_one_object(file: Path, tmp_path: Path) -> None:
    """With the audit as `audit --json` prints it."""
    told = json_of(call("restore", file, "--data-dir", tmp_path / "back", "--json"))
    assert (told["messages"], told["outcomes"], told["audit"]["pending"]) == (3, 1, 2)
    assert told["audit"] == json_of(call("audit", "--data-dir", tmp_path / "back", "--json"))


def test_restore_of_a_log_with_gaps_is_exit_status_1(stored: DataDir, tmp_path: Path) -> None:
    """The files are restored all the same."""
    stored.flip_a_bit(1)
    call("backup", tmp_path / "a.backup", "--data-dir", stored.path)
    result = call("restore", tmp_path / "a.backup", "--data-dir", tmp_path / "back")
    assert result.exit_code == 1
    assert "the audit finds gaps" in result.stderr
    assert (tmp_path / "back" / "workspace.db").exists()


def test_what_cannot_be_restored_is_exit_status_1(file: Path, stored: DataDir) -> None:
    """A sentence on stderr, no traceback: for a directory in use, and for a file that was cut off."""
    in_use = call("restore", file, "--data-dir", stored.path)
    assert (in_use.exit_code, in_use.stdout) == (1, "")
    assert in_use.stderr.startswith(f"headgate: {stored.path} is not empty, nothing was restored")
    file.write_bytes(file.read_bytes()[:-3000])
    cut_off = call("restore", file, "--data-dir", stored.path.with_name("back"))
    assert (cut_off.exit_code, cut_off.stdout) == (1, "")
    assert cut_off.stderr == f"headgate: {file} is damaged: it was cut off; take another backup\n"


# Reading


@pytest.mark.parametrize("command", READING)
def test_commands_that_read_take_a_backup(command: str, stored: DataDir, file: Path) -> None:
    """They answer as for the directory, and leave nothing behind."""
    before = set(file.parent.iterdir())
    on_the_file = call(*command.split(), "--data-dir", file)
    assert on_the_file.exit_code == 0, on_the_file.stderr
    if command != "status":  # which names the directory, and its size
        assert on_the_file.stdout == call(*command.split(), "--data-dir", stored.path).stdout
    assert set(file.parent.iterdir()) == before


@pytest.mark.parametrize("command", READING)
def test_another_file_is_wrong_usage(command: str, tmp_path: Path) -> None:
    """Exit status 2, as for a directory of something else."""
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8" * 1000)
    result = call(*command.split(), "--data-dir", tmp_path / "holiday.jpg")
    assert result.exit_code == 2
    assert "is no backup of Headgate" in result.stderr


@pytest.mark.parametrize("command", ["audit", "trace m-1"])
def test_a_damaged_backup_is_told_before_anything_is_read_from_it(command: str, file: Path) -> None:
    """Exit status 1: half an audit would be none."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    result = call(*command.split(), "--data-dir", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is damaged" in result.stderr


@pytest.mark.parametrize("command", READING)
def test_what_a_newer_headgate_wrote_is_told_in_words(command: str, stored: DataDir) -> None:
    """Exit status 1 with what to do, whichever store it is."""
    name = "workspace.db" if command == "export" else "refused.db"
    with closing(sqlite3.connect(stored.path / name)) as db:
        db.execute("PRAGMA user_version = 1000")
    result = call(*command.split(), "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "written by a newer Headgate" in result.stderr
    assert "restore a backup" in result.stderr


@pytest.mark.parametrize("command", ["audit", "status", "trace m-1"])
def test_what_an_older_headgate_wrote_is_told_in_words(command: str, stored: DataDir) -> None:
    """Exit status 1; the next server brings it up to date."""
    with closing(sqlite3.connect(stored.path / "delivery" / "delivery.db")) as db:
        db.execute("PRAGMA user_version = 1")
    result = call(*command.split(), "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "start headgate serve with this data directory once" in result.stderr


# Beside a running server


def test_a_running_server_is_backed_up_and_goes_on_from_there(tmp_path: Path) -> None:
    """Beside traffic; a server then runs on what was restored and takes in more."""
    config = tmp_path / "headgate.yaml"
    config.write_text("sources:\n  - {slug: website, type: website, writeKeys: [wk_website]}\n")
    sending = ("--write-key", "wk_website", "--messages", "200")
    with processes.Gateway(tmp_path / "data", config) as gateway:
        assert processes.run("send", "--url", gateway.url, *sending).returncode == 0
        saved = processes.run(
            "backup", tmp_path / "a.backup", "--data-dir", gateway.data_dir, "--json"
        )
        assert saved.returncode == 0, saved.stderr
        assert msgspec.json.decode(saved.stdout)["messages"] == 200
    restored = processes.run("restore", tmp_path / "a.backup", "--data-dir", tmp_path / "back")
    assert restored.returncode == 0, restored.stderr
    with processes.Gateway(tmp_path / "back") as gateway:
        assert processes.run("send", "--url", gateway.url, *sending).returncode == 0
        audited = processes.run("audit", "--data-dir", gateway.data_dir, "--json")
    assert audited.returncode == 0, audited.stderr
