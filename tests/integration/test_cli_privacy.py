"""suppress, unsuppress, delete: what people are told, what is recorded, and which exit status says so."""

import pwd
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from data_dirs import NOW_MS, DataDir, destination
from headgate.cli import privacy
from headgate.clock import ManualClock
from headgate.workspace.privacy import RemoteDeletion, RemoteState
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader, SqlitePrivacyStore

app = typer.Typer()
for command in (privacy.suppress, privacy.unsuppress, privacy.delete):
    app.command()(command)


def call(*words: str | Path, typed: str | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], input=typed)


def json_of(result: Result) -> Any:
    return msgspec.json.decode(result.stdout)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A data directory on which no server runs."""
    data_dir = DataDir(tmp_path / "data")
    data_dir.use(destinations=[destination()])
    return data_dir.path


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Puts a running server's answer in place of none."""

    def answer_with(words: str | None) -> None:
        monkeypatch.setattr("headgate.control.tell_privacy_changed", lambda data_dir: words)

    return answer_with


def suppressed(data_dir: Path) -> frozenset[str]:
    reader = SqlitePrivacyReader(data_dir / "workspace.db")
    try:
        return reader.suppressed()
    finally:
        reader.close()


@pytest.mark.parametrize("user", ["ann@example.com", "42", "größer 🦔", " ann ", "-1"])
def test_a_user_is_suppressed_and_unsuppressed(stored: Path, user: str) -> None:
    """Named to the letter; nothing on stdout, words about it on stderr."""
    result = call("suppress", "--data-dir", stored, "--", user)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        f"{user} is suppressed.\nNo server runs on {stored}; it takes effect when one starts.\n"
    )
    assert suppressed(stored) == {user}
    result = call("unsuppress", "--data-dir", stored, "--", user)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"{user} is no longer suppressed.\n")
    assert suppressed(stored) == frozenset()


def test_saying_it_again_is_fine(stored: Path) -> None:
    """The answer tells that it was so already."""
    assert call("unsuppress", "ann", "--data-dir", stored).stderr.startswith(
        "ann was not suppressed."
    )
    call("suppress", "ann", "--data-dir", stored)
    again = call("suppress", "ann", "--data-dir", stored, "--json")
    assert again.exit_code == 0
    assert again.stderr.startswith("ann was suppressed already.")
    assert json_of(again) == {
        "user": "ann",
        "suppressed": True,
        "changed": False,
        "server": "stopped",
        "trouble": "",
    }


def test_a_running_server_does_it_at_once(stored: Path, answer: Callable[[str], None]) -> None:
    """And says so."""
    answer("")
    for words, effect in (
        (["suppress", "ann"], "nothing more is taken in or sent"),
        (["unsuppress", "ann"], "new messages are taken in"),
        (["delete", "ann"], "nothing of them is sent any more, and erasing has begun"),
    ):
        result = call(*words, "--data-dir", stored, "--json")
        assert result.exit_code == 0
        assert result.stderr.endswith(f"\nThe running server knows: {effect}.\n")
        assert json_of(result)["server"] == "using"


@pytest.mark.parametrize("name", ["suppress", "unsuppress", "delete"])
def test_a_server_that_does_not_go_along_is_exit_status_1(
    stored: Path, answer: Callable[[str], None], name: str
) -> None:
    """It is recorded all the same, and the next start uses it."""
    answer("the worker did not say in time that it uses the change")
    result = call(name, "ann", "--data-dir", stored, "--json")
    assert result.exit_code == 1
    assert "But the running server does not use it: the worker did not say" in result.stderr
    assert json_of(result)["server"] == "trouble"
    assert json_of(result)["trouble"].startswith("the worker did not say")


def test_who_is_suppressed_can_be_listed(stored: Path) -> None:
    """Since when and by whom; for one user what was changed, and the exit status is the answer."""
    call("suppress", "bob", "--data-dir", stored)
    call("suppress", "ann", "--data-dir", stored)
    call("unsuppress", "bob", "--data-dir", stored)
    result = call("suppress", "--list", "--data-dir", stored)
    [head, row] = result.stdout.splitlines()
    assert head.split() == ["user", "since", "by"]
    assert row.split()[::2] == ["ann", account()]
    [listed] = json_of(call("suppress", "--list", "--data-dir", stored, "--json"))["suppressed"]
    assert (listed["user"], listed["by"]) == ("ann", account())
    bob = call("suppress", "--list", "bob", "--data-dir", stored, "--json")
    assert bob.exit_code == 1
    assert [one["suppressed"] for one in json_of(bob)["changes"]] == [True, False]
    assert "bob is not suppressed" in bob.stderr
    ann = call("suppress", "--list", "ann", "--data-dir", stored)
    assert ann.exit_code == 0
    assert ann.stdout.splitlines()[1].split()[1:] == ["suppressed", account()]
    assert call("suppress", "--list", "nobody", "--data-dir", stored).exit_code == 1


def test_a_deletion_is_recorded_with_what_happens_next(stored: Path) -> None:
    """And that new messages are still taken in, unless they are not."""
    result = call("delete", "ann", "--data-dir", stored)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "Deletion 1 of ann is recorded; headgate delete --list shows how far it is.\n"
        "No message of ann is held here: check the spelling, or go by what Heap holds.\n"
        "What ann sends from now on is taken in, unless they are suppressed, too.\n"
        f"No server runs on {stored}; it takes effect when one starts.\n"
    )
    assert suppressed(stored) == frozenset()
    both = call("delete", "bob", "--suppress", "--data-dir", stored, "--json")
    assert json_of(both)["deletion"] == 2
    assert json_of(both)["suppressed"] is True
    assert "What bob sends" not in both.stderr
    assert suppressed(stored) == {"bob"}


def test_a_deletion_says_how_many_messages_it_concerns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is confirmed, afterwards, and for programs."""
    data_dir = DataDir(tmp_path / "data")
    data_dir.use(destinations=[destination()])
    data_dir.accept("m-1", "m-2")
    monkeypatch.setattr(privacy, "_on_a_terminal", lambda: True)
    refused = call("delete", "ann", "--data-dir", data_dir.path, typed="n\n")
    assert "2 messages of ann are held here.\nForget ann?" in refused.stderr
    done = call("delete", "ann", "--yes", "--json", "--data-dir", data_dir.path)
    assert "2 messages of ann are held here." in done.stderr
    assert json_of(done)["messages"] == 2


def test_deletions_are_listed_with_how_far_they_are(stored: Path) -> None:
    """Here and at every account that was asked."""
    store = SqlitePrivacyStore(stored / "workspace.db", ManualClock(NOW_MS))
    for user in ("ann", "bob", "cid", "dan", "eve"):
        store.delete(user, actor="root")
        if user == "cid":
            store.take_up(17)
    store.facts_erased([1, 2, 5], [])
    store.log_erased([1, 5])
    store.engage_erased([1])
    store.history_erased([1])
    failed = RemoteDeletion(
        *(1, "ann", "https://heap 1", RemoteState.FAILED, NOW_MS), answer="answered 401: no"
    )
    store.record_remote([failed])
    store.close()
    lines = call("delete", "--list", "--data-dir", stored).stdout.splitlines()
    assert [line.rpartition("root  ")[2] for line in lines[1:6]] == [
        "erased",
        "erased from deliveries, the log follows",
        "withheld, erasing begins",
        "waits for a server",
        "erased, Engage follows",
    ]
    assert lines[-1].split("  ")[-1] == "answered 401: no"
    listed = json_of(call("delete", "--list", "--data-dir", stored, "--json"))["deletions"]
    assert [one["user"] for one in listed] == ["ann", "bob", "cid", "dan", "eve"]
    moment = "2023-11-14T22:13:20.000Z"
    assert listed[0] == {
        "deletion": 1,
        "user": "ann",
        "askedAt": moment,
        "by": "root",
        "messagesUpTo": 17,
        "deliveriesErasedAt": moment,
        "logErasedAt": moment,
        "engageErasedAt": moment,
        "accounts": [
            {
                "account": "https://heap 1",
                "state": "failed",
                "since": moment,
                "requestId": "",
                "answer": "answered 401: no",
            }
        ],
    }
    assert (listed[3]["messagesUpTo"], listed[3]["logErasedAt"]) == (None, None)
    one = json_of(call("delete", "--list", "bob", "--data-dir", stored, "--json"))["deletions"]
    assert [found["deletion"] for found in one] == [2]
    assert call("delete", "--list", "nobody", "--data-dir", stored).exit_code == 1


@pytest.mark.parametrize(
    ("words", "typed", "exit_code", "deleted"),
    [
        pytest.param([], "n\n", 1, 0, id="no"),
        pytest.param([], "", 1, 0, id="no answer"),
        pytest.param([], "y\n", 0, 1, id="yes"),
        pytest.param(["--yes"], "", 0, 1, id="not asked"),
    ],
)
def test_on_a_terminal_a_deletion_is_asked_about(
    stored: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    typed: str,
    exit_code: int,
    deleted: int,
) -> None:
    """On stderr; elsewhere nobody is asked."""
    monkeypatch.setattr(privacy, "_on_a_terminal", lambda: True)
    result = call("delete", "ann", *words, "--data-dir", stored, typed=typed)
    assert result.exit_code == exit_code
    assert ("Forget ann? This cannot be undone" in result.stderr) is not bool(words)
    assert result.stdout == ""
    listed = json_of(call("delete", "--list", "--data-dir", stored, "--json"))["deletions"]
    assert len(listed) == deleted


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["suppress"], id="nobody to suppress"),
        pytest.param(["unsuppress"], id="nobody to unsuppress"),
        pytest.param(["delete"], id="nobody to delete"),
        pytest.param(["delete", ""], id="an empty userId"),
        pytest.param(["suppress", "\udcff"], id="no UTF-8"),
        pytest.param(["suppress", "ann", "--data-dir", "/nowhere"], id="no such directory"),
    ],
)
def test_wrong_usage_is_exit_status_2(stored: Path, words: list[str]) -> None:
    """With a word about it; nothing is recorded."""
    result = call(*words, *(() if "--data-dir" in words else ("--data-dir", stored)))
    assert (result.exit_code, result.stdout) == (2, "")
    assert suppressed(stored) == frozenset()


def test_a_directory_without_a_workspace_is_left_alone(tmp_path: Path) -> None:
    """A typing error makes no data directory."""
    for name in ("suppress", "unsuppress", "delete"):
        assert call(name, "ann", "--data-dir", tmp_path).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_lists_can_be_read_from_a_copy(stored: Path, tmp_path: Path) -> None:
    """Of a directory that is not in use."""
    call("suppress", "ann", "--data-dir", stored)
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    for path in copy.rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    assert "ann" in call("suppress", "--list", "--data-dir", copy).stdout


def account() -> str:
    """Who runs the tests."""
    import os

    return pwd.getpwuid(os.getuid()).pw_name


def test_an_empty_list_says_that_it_is_empty(stored: Path) -> None:
    """On stderr, with exit status 0; stdout is empty."""
    for name, said in (
        ("suppress", "Nobody is suppressed."),
        ("delete", "Nobody was ever deleted."),
    ):
        result = call(name, "--list", "--data-dir", stored)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{said}\n")
