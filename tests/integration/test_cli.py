"""The commands as people and scripts call them: what goes to stdout, what to stderr, which exit status."""

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

import processes
from data_dirs import DataDir, destination
from headgate.cli import app, console
from headgate.delivery.facts import DELIVERED, DISCARDED
from headgate.workspace.errors import StoreBusy

FILE = """\
sources:
  - {slug: website, type: website, writeKeys: [wk_website]}
destinations:
  - {slug: heap, sourceId: website, settings: {appId: "1535634150"}}
"""
READING = ("export", "audit", "status")


def call(*words: str | Path, **environment: str) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], env=environment)


def json_of(result: Result) -> Any:
    return msgspec.json.decode(result.stdout)


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with one delivered message, one discarded, one pending and one refused."""
    data_dir = DataDir(tmp_path / "data")
    data_dir.use(destinations=[destination()])
    data_dir.accept("m-1", "m-2", "m-3")
    data_dir.settle(DELIVERED, 1, attempt_id=data_dir.attempt(1))
    data_dir.settle(DISCARDED, 2, reason="no_user_id", cursor=2)
    data_dir.refuse("r-1", "unknown_write_key", source="")
    return data_dir


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A headgate.yaml."""
    path = tmp_path / "headgate.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Puts a running server's answers in place of none; what it returns collects the versions asked for."""

    def answer_with(words: str | None, *, misfit: str = "") -> list[int]:
        asked: list[int] = []

        def check_workspace(data_dir: Path, document: Any, timeout_s: float) -> str | None:
            return misfit

        def use_workspace(data_dir: Path, version: int, timeout_s: float) -> str | None:
            asked.append(version)
            return words

        monkeypatch.setattr("headgate.control.check_workspace", check_workspace)
        monkeypatch.setattr("headgate.control.use_workspace", use_workspace)
        return asked

    return answer_with


# Help and usage


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    """`headgate --help` answers at once: whatever a command needs is imported when it runs."""
    code = (
        "import sys; from headgate.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'numpy', 'uvicorn', 'msgspec', 'yaml', 'rich', 'starlette'}\n"
        "sys.exit(' '.join(heavy & sys.modules.keys()) or 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    for command in (
        "serve",
        "demo",
        "apply",
        "export",
        "trace",
        "audit",
        "status",
        "send",
        "sandbox",
    ):
        assert f"\n  {command} " in found.stdout


def test_every_help_has_an_example_that_parses() -> None:
    """An example that has rotted would be refused as wrong usage."""
    import typer.main

    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        examples = [line.split() for line in command.help.splitlines() if "  headgate " in line]
        assert examples, name
        for words in examples:
            words = words[: words.index(">")] if ">" in words else words
            arguments = [word for word in words[2:] if not word.endswith(".yaml")]
            command.make_context(name, arguments, resilient_parsing=True)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="no command"),
        pytest.param(["audti"], id="no such command"),
        pytest.param(["audit", "--nope"], id="no such option"),
        pytest.param(["trace"], id="an argument is missing"),
        pytest.param(["apply", "/nowhere/headgate.yaml"], id="no such file"),
        pytest.param(["serve", "--config", "/nowhere/headgate.yaml"], id="no such config"),
        pytest.param(["serve", "--port", "70000"], id="no such port"),
        pytest.param(["send", "--batch-size", "0"], id="an impossible plan"),
    ],
)
def test_wrong_usage_is_exit_status_2(words: list[str]) -> None:
    """With a word about it on stderr, and nothing on stdout but help that was meant."""
    result = call(*words)
    assert result.exit_code == 2
    assert result.stdout == "" or not words
    assert "Traceback" not in result.output


def test_the_version_is_that_of_the_package() -> None:
    """`--version` says which Headgate this is."""
    assert call("--version").stdout.startswith("headgate 0.")


# The data directory


@pytest.mark.parametrize("command", [*READING, "trace m-1"])
def test_a_missing_directory_is_named(command: str, tmp_path: Path) -> None:
    """Exit status 2, since it says nothing about any message; and nothing is made."""
    result = call(*command.split(), "--data-dir", tmp_path / "missing")
    assert result.exit_code == 2
    assert f"there is no directory {tmp_path / 'missing'}" in result.stderr
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("command", [*READING, "trace m-1"])
def test_a_directory_of_something_else_is_named(command: str, tmp_path: Path) -> None:
    """Exit status 2; and nothing is put into it."""
    (tmp_path / "holiday.jpg").write_bytes(b"")
    result = call(*command.split(), "--data-dir", tmp_path)
    assert result.exit_code == 2
    assert "is no data directory of Headgate" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("command", [*READING, "trace m-1"])
def test_a_damaged_workspace_is_told_in_words(command: str, stored: DataDir) -> None:
    """Exit status 1 and a sentence, no traceback."""
    (stored.path / "workspace.db").write_bytes(b"nothing of the kind" * 1000)
    result = call(*command.split(), "--data-dir", stored.path)
    assert result.exit_code == 1
    assert "workspace.db cannot be used" in result.stderr


@pytest.mark.parametrize("command", ["audit", "status", "trace m-1"])
def test_damaged_facts_are_told_in_words(command: str, stored: DataDir) -> None:
    """Exit status 1 and a sentence, no traceback."""
    (stored.path / "delivery" / "delivery.db").write_bytes(b"nothing of the kind" * 1000)
    result = call(*command.split(), "--data-dir", stored.path)
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr


@pytest.mark.parametrize("command", [*READING, "trace m-1"])
def test_reading_works_on_a_copy_and_changes_nothing(
    command: str, stored: DataDir, tmp_path: Path
) -> None:
    """A copy of the directory answers like the original, and its files stay as they are."""
    copy = tmp_path / "a copy % of it?"
    shutil.copytree(stored.path, copy)
    before = {path: path.read_bytes() for path in copy.rglob("*.db")}
    result = call(*command.split(), "--data-dir", copy)
    assert result.exit_code == 0, result.stderr
    assert {path: path.read_bytes() for path in copy.rglob("*.db")} == before


def test_the_directory_may_come_from_the_environment(stored: DataDir) -> None:
    """HEADGATE_DATA_DIR stands for --data-dir."""
    result = call("status", "--json", HEADGATE_DATA_DIR=str(stored.path))
    assert json_of(result)["dataDir"] == str(stored.path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(StoreBusy("it is being changed"), "it is being changed", id="workspace"),
        pytest.param(sqlite3.DatabaseError("malformed"), "cannot be read: malformed", id="sqlite"),
        pytest.param(PermissionError(13, "Permission denied", "x"), "denied: x", id="files"),
    ],
)
def test_what_people_can_mend_is_explained(
    error: Exception, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr; anything else is an error of ours and keeps its traceback."""
    assert console.explain(error)
    assert words in capsys.readouterr().err
    assert not console.explain(RuntimeError("ours"))


# apply and export


def test_apply_stores_a_first_workspace_and_prints_what_changed(
    tmp_path: Path, config: Path
) -> None:
    """The directory is made for its owner alone; nobody runs, so the next start uses it."""
    data_dir = tmp_path / "deep" / "data"
    result = call("apply", config, "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (0, "+ source website\n+ destination heap\n")
    assert "Version 1 is stored. No server runs" in result.stderr
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_what_apply_stored_export_prints_and_apply_takes_back(tmp_path: Path, config: Path) -> None:
    """The workspace as a file, both ways."""
    call("apply", config, "--data-dir", tmp_path / "data")
    text = call("export", "--data-dir", tmp_path / "data").stdout
    config.write_text(text)
    result = call("apply", config, "--data-dir", tmp_path / "data", "--json")
    assert json_of(result) == {"version": 1, "changes": [], "server": "stopped", "trouble": ""}


def test_apply_names_every_problem_by_file_and_line(tmp_path: Path, config: Path) -> None:
    """Exit status 1, and neither a version nor a directory is made."""
    config.write_text(FILE.replace("appId", "appID").replace("slug: heap", "slug: heap!"))
    result = call("apply", config, "--data-dir", tmp_path / "data")
    assert result.exit_code == 1
    assert result.stderr.count(f"({config}:4)") >= 2
    assert not (tmp_path / "data").exists()


def test_apply_takes_no_text_that_is_not_yaml(tmp_path: Path, config: Path) -> None:
    """Bad YAML is told by line, like any other problem."""
    config.write_text("sources: [\n")
    result = call("apply", config, "--data-dir", tmp_path / "data")
    assert result.exit_code == 1
    assert "headgate.yaml:" in result.stderr


def test_apply_ends_well_once_the_running_server_uses_it(
    tmp_path: Path, config: Path, answer: Callable[..., list[int]]
) -> None:
    """The server is told the version that was stored, also when nothing changed."""
    asked = answer("")
    for _ in range(2):
        result = call("apply", config, "--data-dir", tmp_path / "data")
        assert result.exit_code == 0
        assert "The running server uses version 1." in result.stderr
    assert (asked, result.stdout) == ([1, 1], "nothing changed\n")


def test_apply_says_why_the_running_server_does_not_use_it(
    tmp_path: Path, config: Path, answer: Callable[..., list[int]]
) -> None:
    """Exit status 1: stored is not in use."""
    answer("HEAP_APP is not set there")
    result = call("apply", config, "--data-dir", tmp_path / "data", "--json")
    assert result.exit_code == 1
    assert "HEAP_APP is not set there" in result.stderr
    assert json_of(result)["server"] == "trouble"


def test_apply_stores_nothing_that_the_running_server_cannot_use(
    tmp_path: Path, config: Path, answer: Callable[..., list[int]]
) -> None:
    """Exit status 1 with the server's words, and neither a version nor a poke to use one."""
    asked = answer("", misfit="HEAP_APP is not set there")
    result = call("apply", config, "--data-dir", tmp_path / "data", "--json")
    assert (result.exit_code, asked) == (1, [])
    assert "nothing was changed\nHEAP_APP is not set there" in result.stderr
    assert json_of(result) == {
        "version": None,
        "changes": [],
        "server": "refused",
        "trouble": "HEAP_APP is not set there",
    }
    assert not (tmp_path / "data").exists()


# trace, audit, status


def mapped(data_dir: DataDir, message_id: str) -> Any:
    """What a message is at its destination."""
    told = json_of(call("trace", message_id, "--data-dir", data_dir.path, "--json"))
    return told["decisions"][0]["mapped"]


def test_trace_tells_people_the_story(stored: DataDir) -> None:
    """Arrival, attempt, outcome; no colour, since this is no terminal."""
    result = call("trace", "m-1", "--data-dir", stored.path)
    assert result.exit_code == 0
    for words in ("arrived", "answered 200", "heap: delivered", "Order Completed"):
        assert words in result.stdout
    assert "\x1b" not in result.stdout


def test_trace_escapes_what_would_steer_a_terminal(stored: DataDir) -> None:
    """An answer may hold any bytes; none of them reaches the terminal as a command."""
    stored.attempt(3, answer=b"\x1b[2J\x9bno")
    result = call("trace", "m-3", "--data-dir", stored.path)
    assert "\x1b" not in result.stdout
    assert "\\x1b[2J" in result.stdout


def test_trace_for_programs_is_one_object(stored: DataDir) -> None:
    """With the request as it was sent."""
    told = json_of(call("trace", "m-1", "--data-dir", stored.path, "--json"))
    assert (told["messageId"], told["arrival"]["position"]) == ("m-1", 1)
    assert told["attempts"][0]["request"].startswith('{"app_id"')
    assert told["outcomes"][0]["outcome"] == "delivered"


def test_trace_finds_refused_messages(stored: DataDir) -> None:
    """Their outcome is discarded, at the door."""
    result = call("trace", "r-1", "--data-dir", stored.path)
    assert result.exit_code == 0
    assert "-: discarded (unknown_write_key)" in result.stdout


def test_trace_says_of_a_refused_message_that_its_body_is_not_kept(stored: DataDir) -> None:
    """Where nothing would stand otherwise."""
    stored.refuse("r-2", "suppressed", body=b"")
    result = call("trace", "r-2", "--data-dir", stored.path)
    assert result.stdout.endswith("As it came\n(the body is not kept)\n")


def test_trace_shows_of_a_large_request_what_the_message_is_in_it(stored: DataDir) -> None:
    """Its neighbours come with --full."""
    row = bytes(msgspec.json.encode(mapped(stored, "m-3")))
    neighbours = b"".join(b',{"neighbour":%d}' % n for n in range(100))
    stored.attempt(3, request=b'{"events":[%b%b]}' % (row, neighbours))
    told = call("trace", "m-3", "--data-dir", stored.path).stdout
    assert f"… {row.decode()} … (its part of a request of" in told
    assert '"neighbour":99' not in told
    assert '"neighbour":99' in call("trace", "m-3", "--full", "--data-dir", stored.path).stdout


@pytest.mark.parametrize("message_id", ["nobody", "\udcff", ""], ids=["unknown", "bytes", "empty"])
def test_an_unknown_id_is_exit_status_1(stored: DataDir, message_id: str) -> None:
    """With what was looked through, and what may have gone wrong."""
    result = call("trace", message_id, "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "looked through 3 messages received since 2023-11-14" in result.stderr


def test_a_sound_audit_is_exit_status_0(stored: DataDir) -> None:
    """The sum adds up, and the words say so."""
    result = call("audit", "--data-dir", stored.path, "--json")
    told = json_of(result)
    assert result.exit_code == 0
    counted = {name: told[name] for name in ("delivered", "discarded", "failed", "pending")}
    assert counted == {"delivered": 1, "discarded": 2, "failed": 0, "pending": 1}
    assert (told["accepted"], told["broken"], told["damaged"]) == (4, [], [])
    assert (told["from"], told["to"]) == (None, None)
    assert "4 accepted = 1 delivered + 2 discarded + 0 failed + 1 pending" in result.stderr


def test_a_broken_audit_is_exit_status_1(stored: DataDir) -> None:
    """And names the message."""
    stored.pass_by(3)
    result = call("audit", "--data-dir", stored.path)
    assert result.exit_code == 1
    assert "broken: m-3 to heap" in result.stdout
    assert json_of(call("audit", "--data-dir", stored.path, "--json"))["broken"] == ["m-3"]


def test_a_damaged_log_is_exit_status_1(stored: DataDir) -> None:
    """Even when every outcome that is left adds up."""
    stored.flip_a_bit(1)
    result = call("audit", "--data-dir", stored.path)
    assert result.exit_code == 1
    assert "damaged: messages 1 to 3" in result.stdout


def test_the_audit_takes_times(stored: DataDir) -> None:
    """A day without a message is empty; what is no time is wrong usage."""
    told = json_of(call("audit", "--data-dir", stored.path, "--from", "2024-01-01", "--json"))
    assert (told["accepted"], told["from"]) == (0, "2024-01-01T00:00:00.000Z")
    result = call("audit", "--data-dir", stored.path, "--to", "yesterday")
    assert result.exit_code == 2
    assert "--to" in result.stderr


def test_status_shows_what_there_is(stored: DataDir) -> None:
    """For people and for programs; pending is exact."""
    words = call("status", "--data-dir", stored.path).stdout
    for word in ("no server is running", "version 1", "messages 1 to 3", "unknown_write_key 1"):
        assert word in words
    told = json_of(call("status", "--data-dir", stored.path, "--json"))
    heap = told["destinations"][0]
    assert (heap["delivered"], heap["discarded"], heap["pending"], heap["cursor"]) == (1, 1, 1, 2)
    assert told["log"]["messages"] == 3
    assert told["disk"]["total"] >= told["disk"]["log"] > 0


def test_status_fits_a_terminal(stored: DataDir) -> None:
    """The table has what is counted; how long the rest takes is said below it."""
    stored.replay("again", 1)
    lines = call("status", "--data-dir", stored.path).stdout.splitlines()
    assert lines[-1] == "heap: 1 pending, 1 more to replay; time to send: less than a minute"
    assert max(map(len, lines[2:])) <= 80


def test_status_of_a_workspace_alone(tmp_path: Path) -> None:
    """Before the first message, nothing is there to be counted."""
    DataDir(tmp_path).use(destinations=[destination()])
    assert "Log        empty" in call("status", "--data-dir", tmp_path).stdout


# As processes


def test_a_script_sees_the_exit_status(stored: DataDir) -> None:
    """Through the entry point itself: 0, 1 and 2, and no traceback."""
    found = [
        processes.run(*words, "--data-dir", stored.path)
        for words in (("trace", "m-1"), ("trace", "nobody"), ("audit", "--from", "nonsense"))
    ]
    assert [one.returncode for one in found] == [0, 1, 2]
    assert not any("Traceback" in one.stderr for one in found)


def test_python_m_headgate_is_the_same_command() -> None:
    """Where no entry point is installed."""
    found = subprocess.run(
        [sys.executable, "-m", "headgate", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.startswith("headgate ")


def test_a_taken_port_is_told_in_words() -> None:
    """The sandbox names the port and the option; exit status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = processes.run("sandbox", "--port", str(port))
    assert found.returncode == 1
    assert found.stderr.startswith(f"headgate: cannot listen on 127.0.0.1:{port}: ")
    assert "choose another with --port" in found.stderr


class Refusing(BaseHTTPRequestHandler):
    """Answers 400 to everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_traffic_that_is_refused_is_exit_status_1() -> None:
    """What was not accepted is told, and the answer is no."""
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = processes.run("send", "--url", url, "--messages", "3", "--json")
        server.shutdown()
        thread.join()
    assert result.returncode == 1
    assert msgspec.json.decode(result.stdout)["refused"] == {"400": 3}


def test_a_running_server_uses_what_is_applied_and_can_be_asked(
    tmp_path: Path, config: Path
) -> None:
    """apply, send, status, audit and trace beside a server; nothing needs to stop for them."""
    with processes.Gateway(tmp_path / "data", config) as gateway:
        config.write_text(FILE.replace("wk_website]", "wk_website, wk_more]"))
        where = ("--data-dir", gateway.data_dir)
        applied = processes.run("apply", config, *where)
        assert (applied.returncode, applied.stderr) == (
            0,
            "The running server uses version 2.\n",
        )
        sending = ("--url", gateway.url, "--write-key", "wk_more", "--messages", "40")
        assert processes.run("send", *sending).returncode == 0
        assert msgspec.json.decode(processes.run("status", *where, "--json").stdout)["running"]
        audited = processes.run("audit", *where, "--json")
        assert audited.returncode == 0, audited.stderr
        assert msgspec.json.decode(audited.stdout)["accepted"] == 40
        traced = processes.run("trace", "nobody", *where)
        assert "looked through 40 messages" in traced.stderr


# Stores that are damaged, and directories that are none


def damage(path: Path) -> None:
    """Overwrites a file."""
    path.write_bytes(b"\xa5" * path.stat().st_size)


def damage_table(path: Path, name: str) -> None:
    """Overwrites the first page of a table, and nothing else."""
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)
        ).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize("command", ["audit", "status", "trace m-1", "find"])
@pytest.mark.parametrize(
    ("name", "without"),
    [
        pytest.param("delivery/delivery.db", "is delivered again", id="outcomes"),
        pytest.param("refused.db", "and nothing else", id="refusals"),
    ],
)
def test_a_damaged_store_is_named_with_what_it_costs_to_do_without(
    name: str, without: str, command: str, stored: DataDir
) -> None:
    """Exit status 1, also of a command that would not look into it."""
    damage(stored.path / name)
    result = call(*command.split(), "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{stored.path / name} is damaged and cannot be read" in result.stderr
    assert "restore a backup, or stop the server and move" in result.stderr
    assert without in result.stderr


def test_damage_deep_inside_of_a_store_is_named_when_it_is_come_upon(stored: DataDir) -> None:
    """At a glance it is a database like any other."""
    path = stored.path / "delivery" / "delivery.db"
    damage_table(path, "tally")
    result = call("status", "--data-dir", stored.path)
    assert result.exit_code == 1
    assert f"{path} is damaged and cannot be read" in result.stderr


def test_a_worker_that_cannot_open_its_store_says_one_sentence(
    tmp_path: Path, config: Path
) -> None:
    """No traceback, and the doors stay open."""
    store = tmp_path / "data" / "delivery" / "delivery.db"
    with processes.Gateway(tmp_path / "data", config) as gateway:
        worker = gateway.worker()
        processes.eventually(store.exists, processes.STARTS_WITHIN_S)
        os.kill(worker, signal.SIGSTOP)
        store.write_bytes(b"nothing of the kind" * 1000)
        for beside in ("-wal", "-shm"):
            store.with_name(store.name + beside).unlink(missing_ok=True)
        os.kill(worker, signal.SIGKILL)
        gateway.says(r"delivery\.db is damaged .* delivery cannot start$")
        gateway.says("the worker ended with status 1")
        assert processes.run("send", "--url", gateway.url, "--messages", "1").returncode == 0
        assert "Traceback" not in gateway.err


def test_apply_says_that_it_has_made_a_data_directory(tmp_path: Path, config: Path) -> None:
    """A slip in --data-dir is seen at once; the second time nothing is new."""
    apply = ("apply", config, "--data-dir", tmp_path / "data")
    assert f"{tmp_path / 'data'} is a new data directory." in call(*apply).stderr
    assert "new data directory" not in call(*apply).stderr


@pytest.mark.parametrize("command", ["suppress ann", "unsuppress ann", "delete ann --yes", "apply"])
def test_commands_that_write_leave_a_newer_headgates_directory_alone(
    command: str, stored: DataDir, config: Path
) -> None:
    """Also when the store that is newer is not the one they write."""
    with closing(sqlite3.connect(stored.path / "refused.db")) as db:
        db.execute("PRAGMA user_version = 1000")
    before = (stored.path / "workspace.db").read_bytes()
    words: list[str | Path] = [*command.split(), *([config] if command == "apply" else [])]
    result = call(*words, "--data-dir", stored.path)
    assert result.exit_code == 1
    assert "refused.db was written by a newer Headgate" in result.stderr
    assert (stored.path / "workspace.db").read_bytes() == before


@pytest.mark.parametrize("command", ["suppress ann", "unsuppress ann", "delete ann --yes", "apply"])
def test_commands_that_write_say_of_a_backup_that_it_is_to_be_restored_first(
    command: str, stored: DataDir, config: Path, tmp_path: Path
) -> None:
    """Wrong usage, in words of our own."""
    backup = tmp_path / "a.backup"
    assert call("backup", backup, "--data-dir", stored.path).exit_code == 0
    words: list[str | Path] = [*command.split(), *([config] if command == "apply" else [])]
    result = call(*words, "--data-dir", backup)
    assert result.exit_code == 2
    assert "restore it first: headgate restore" in " ".join(result.stderr.split())


def test_a_backup_is_not_written_into_the_directory_that_it_is_of(
    stored: DataDir, tmp_path: Path
) -> None:
    """Whichever way the file is named."""
    (tmp_path / "link").symlink_to(stored.path)
    for file in (stored.path / "a.backup", tmp_path / "link" / "log" / "a.backup"):
        result = call("backup", file, "--data-dir", stored.path)
        assert result.exit_code == 2
        assert "a backup belongs elsewhere" in " ".join(result.stderr.split())
    assert not list(stored.path.rglob("a.backup*"))


# What is asked for and is not there


@pytest.mark.parametrize(
    "command",
    [
        "trace nobody",
        "deadletters show nobody",
        "deadletters replay nobody",
        "replay --id nobody",
    ],
)
def test_programs_are_told_of_an_unknown_id_in_json(command: str, stored: DataDir) -> None:
    """One document on stdout, the words on stderr, exit status 1."""
    result = call(*command.split(), "--json", "--data-dir", stored.path)
    assert result.exit_code == 1
    assert json_of(result).keys() == {"error"}
    assert result.stderr == f"headgate: {json_of(result)['error']}\n"


def test_dead_letters_are_exported_as_json_whether_or_not_it_is_said(stored: DataDir) -> None:
    """`--json` changes nothing there."""
    stored.give_up(3)
    export = ("deadletters", "export", "--data-dir", stored.path)
    assert msgspec.json.decode(call(*export).stdout)["messageId"] == "m-3"
    assert call(*export, "--json").stdout == call(*export).stdout


def test_an_audit_of_no_time_at_all_is_wrong_usage(stored: DataDir) -> None:
    """It would find nothing and prove nothing."""
    times = ("--from", "2026-12-01", "--to", "2026-11-01")
    result = call("audit", *times, "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected a time after --from" in result.stderr


@pytest.mark.parametrize("command", ["find", "replay", "deadletters list"])
def test_an_unknown_reason_is_told_where_all_of_them_stand(command: str, stored: DataDir) -> None:
    """The ones that are like it are named, which are not all."""
    result = call(*command.split(), "--reason", "refusde", "--data-dir", stored.path)
    assert result.exit_code == 2
    words = " ".join(result.stderr.split())
    assert "there are: refused, " in words
    assert "docs/outcomes.md has all" in words


@pytest.mark.parametrize("name", ["delivery/delivery.db", "refused.db"])
def test_serve_does_not_start_on_a_damaged_store(name: str, stored: DataDir) -> None:
    """Nothing is taken in that would be looked for in vain; exit status 1 and a sentence."""
    damage(stored.path / name)
    result = processes.run("serve", "--data-dir", stored.path, "--port", "0", "--app-port", "0")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"headgate: {stored.path / name} is damaged")
    assert "Traceback" not in result.stderr
