"""`headgate engage …` as people and scripts call it: what it prints, and its exit status."""

import csv
import io
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from data_dirs import NOW_MS, DataDir, destination
from engage_dirs import EngageDir, audience
from headgate.cli import app
from headgate.clock import SystemClock
from headgate.engage.history.archiving import archive
from headgate.engage.history.parts import history_directory, parts_in
from headgate.engage.requests import Requests
from headgate.engage.store import EngageStore
from headgate.locks import hold
from processes import run

BUYERS = audience("Buyers", "event('Bought').count() >= 1", "heap")
ORDERS = {"name": "Orders", "definition": "event('Bought').count()", "destinations": ["heap"]}


def call(*words: str | Path) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, ["engage", *(str(word) for word in words)])


def json_of(*words: str | Path) -> Any:
    """What a command prints with --json."""
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


@pytest.fixture
def directory(tmp_path: Path) -> EngageDir:
    """Ann has bought twice, bob once without being known, cem never; messages are of today."""
    directory = EngageDir(tmp_path / "data")
    directory.clock.advance((SystemClock().now_ms() - NOW_MS) / 1000 - 60)
    directory.configure(BUYERS | {"includeAnonymous": True}, traits=[ORDERS])
    directory.track("Bought", "b-1", age_s=10, properties={"total": 5})
    directory.track("Bought", "b-2", age_s=5, anonymousId="anon-ann")
    directory.track("Bought", "b-3", userId=None, anonymousId="anon-bob")
    directory.identify("i-1", userId="cem", traits={"email": "cem@example.com", "plan": "free"})
    directory.compute()
    return directory


# At a glance and when something is broken


def test_status_tells_of_engage(directory: EngageDir) -> None:
    """Whether it computes, and what it weighs; loudly when a server runs without it."""
    archive(directory.path)
    result = CliRunner().invoke(app, ["status", "--json", "--data-dir", str(directory.path)])
    told = msgspec.json.decode(result.stdout)
    assert told["engage"]["running"] is False
    assert 0 < told["engage"]["history"] < told["disk"]["engage"] < told["disk"]["total"]
    words = CliRunner().invoke(app, ["status", "--data-dir", str(directory.path)]).stdout
    assert "Engage     not running" in words
    with hold(directory.path / "engage.lock", 0):
        words = CliRunner().invoke(app, ["status", "--data-dir", str(directory.path)]).stdout
    assert "Engage     computing" in words


def test_damaged_history_is_told_in_a_sentence(directory: EngageDir) -> None:
    """With the file and what to do."""
    archive(directory.path)
    (part,) = parts_in(history_directory(directory.path))
    part.path.write_bytes(b"PAR1" + bytes(500) + part.path.read_bytes()[-100:])
    verified = run("engage", "verify", "--data-dir", directory.path)
    assert verified.returncode == 1
    assert "history is damaged" in verified.stderr
    assert part.path.name in verified.stderr
    assert "Traceback" not in verified.stderr


# Lists


def test_the_list_is_for_people_and_for_programs(directory: EngageDir) -> None:
    """A row for each, and what waits."""
    result = call("list", "--data-dir", directory.path)
    assert result.exit_code == 0
    assert "buyers" in result.stdout
    assert "audience" in result.stdout
    found = json_of("list", "--thorough", "--data-dir", directory.path)
    assert [
        (one["key"], one["members"], one["undeliverable"], one["leftOut"])
        for one in found["computations"]
    ] == [("buyers", 2, 1, 0), ("orders", 2, 1, 0)]
    assert found["people"] == 3


def test_members_are_listed_up_to_a_limit(directory: EngageDir) -> None:
    """And it says of how many."""
    found = json_of("members", "buyers", "--data-dir", directory.path)
    assert [one["identifiers"] for one in found["members"]] == [
        {"user_id": ["ann"], "anonymous_id": ["anon-ann"]},
        {"anonymous_id": ["anon-bob"]},
    ]
    result = call("members", "orders", "--limit", "1", "--data-dir", directory.path)
    assert "These are 1 of 2" in result.stderr
    assert result.stdout.split() == [
        *("profile", "value", "user_id", "email", "anonymous_id"),
        *("1", "2", "ann", "anon-ann"),
    ]


def test_everybody_is_exported_as_csv(directory: EngageDir, tmp_path: Path) -> None:
    """A row for each, to stdout or into a file that was not there before."""
    result = call("export", "orders", "--csv", "--data-dir", directory.path)
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows == [
        ["profile", "value", "user_id", "email", "anonymous_id", "identifiers"],
        ["1", "2", "ann", "", "anon-ann", '{"user_id":["ann"],"anonymous_id":["anon-ann"]}'],
        ["2", "1", "", "", "anon-bob", '{"anonymous_id":["anon-bob"]}'],
    ]
    assert "2 people" in result.stderr
    output = tmp_path / "orders.csv"
    assert call("export", "orders", output, "--data-dir", directory.path).exit_code == 0
    assert output.read_bytes().decode() == result.stdout.replace("\n", "\r\n").replace(
        "\r\r\n", "\r\n"
    )
    assert call("export", "orders", output, "--data-dir", directory.path).exit_code == 2


def test_everybody_is_exported_as_json_lines(directory: EngageDir) -> None:
    """One object each."""
    result = call("export", "buyers", "--json", "--data-dir", directory.path)
    found = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert [(one["profile"], one["value"]) for one in found] == [(1, True), (2, True)]
    refused = call("export", "buyers", "--json", "--csv", "--data-dir", directory.path)
    assert refused.exit_code == 2


def test_several_identifiers_of_one_type_are_in_one_cell(directory: EngageDir) -> None:
    """Below each other."""
    directory.identify("i-2", anonymousId="phone")
    directory.compute()
    result = call("export", "buyers", "--data-dir", directory.path)
    rows = list(csv.reader(io.StringIO(result.stdout, newline="")))
    assert rows[1][4] == "anon-ann\nphone"


# Why


def test_why_somebody_is_a_member(directory: EngageDir) -> None:
    """The condition, the messages behind it, and what was told."""
    result = call("explain", "buyers", "ann", "--data-dir", directory.path)
    assert result.exit_code == 0, result.output
    for words in (
        "buyers: true for ann",
        "it does not change by itself",
        "event('Bought').count() >= 1  (now 2)",
        "2 count:",
        "b-2",
        "heap, userId ann: told true at",
        "headgate trace personas_",
    ):
        assert words in result.stdout, words
    found = json_of("explain", "buyers", "ann", "--messages", "1", "--data-dir", directory.path)
    assert [one["id"] for one in found["reason"]["messages"]] == ["b-2"]


def test_why_somebody_is_not_told_of(directory: EngageDir) -> None:
    """By any identifier; without a userId Heap cannot be told."""
    result = call("explain", "buyers", "anonymous_id:anon-bob", "--data-dir", directory.path)
    assert "There is no userId" in result.stdout
    found = json_of("explain", "orders", "email:cem@example.com", "--data-dir", directory.path)
    assert (found["value"], found["identifiers"]["user_id"]) == (0, ["cem"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["explain", "buyers", "nobody"], "nobody is not known", id="nobody"),
        pytest.param(["explain", "none", "ann"], "there are: buyers, orders", id="no such key"),
        pytest.param(["members", "none"], "there are: buyers, orders", id="no members"),
        pytest.param(["resync", "none"], "there are: buyers, orders", id="nothing to tell"),
        pytest.param(["preview", "--audience", "none"], "there are: buyers", id="no definition"),
        pytest.param(["preview", "event('A'"], "line 1, column", id="a broken definition"),
        pytest.param(
            ["preview", "event('A').count() > 1", "--overlap", "none"],
            "there is no audience with the key none",
            id="no other audience",
        ),
    ],
)
def test_what_is_not_there_is_a_no(directory: EngageDir, words: list[str], expected: str) -> None:
    """Exit status 1, in words on stderr, and as an object for programs."""
    result = call(*words, "--data-dir", directory.path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert expected in result.stderr
    as_json = call(*words, "--json", "--data-dir", directory.path)
    assert as_json.exit_code == 1
    assert expected in msgspec.json.decode(as_json.stdout)["error"]


def test_a_broken_definition_points_at_the_character(directory: EngageDir) -> None:
    """With what was expected there."""
    result = call("preview", "event('A').wihtin(3 days).count() > 1", "--data-dir", directory.path)
    assert "did you mean `within`?" in result.stderr
    line, caret = result.stderr.splitlines()[-2:]
    assert line[caret.index("^") :].startswith("wihtin")


# Trying and checking


def test_a_definition_can_be_tried(directory: EngageDir) -> None:
    """How many, how many could be told of, some of them; also one that is stored."""
    definition = "event('Bought').where(property('total') > 10).count() >= 1"
    found = json_of("preview", definition, "--anonymous", "--data-dir", directory.path)
    assert (found["profiles"], found["having"], found["deliverable"]) == (3, 2, 1)
    result = call("preview", "--audience", "orders", "--data-dir", directory.path)
    assert "2 of 3 people have a value" in result.stdout
    only_known = json_of("preview", definition, "--data-dir", directory.path)
    assert only_known["having"] == 1


def test_a_definition_or_a_key_is_needed(directory: EngageDir) -> None:
    """One of them."""
    assert call("preview", "--data-dir", directory.path).exit_code == 2
    both = call("preview", "event('A').count()", "--audience", "a", "--data-dir", directory.path)
    assert both.exit_code == 2


def test_everything_computed_anew_agrees(directory: EngageDir) -> None:
    """It says how much was compared."""
    result = call("verify", "--data-dir", directory.path)
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    assert "All is as it should be: 2 computations for 3 people" in result.stderr


def test_a_difference_is_named_and_is_a_no(directory: EngageDir) -> None:
    """Whose, of what, and both values."""
    _spoil(directory, "ann", "orders", 7)
    result = call("verify", "--data-dir", directory.path)
    assert result.exit_code == 1
    assert "1 values are WRONG" in result.stderr
    assert [line.split()[:4] for line in result.stdout.splitlines()[1:]] == [
        ["orders", "1", "7", "2"]
    ]
    as_json = call("verify", "--json", "--data-dir", directory.path)
    (difference,) = msgspec.json.decode(as_json.stdout)["differences"]
    assert (as_json.exit_code, difference["incremental"], difference["recomputed"]) == (1, 7, 2)


def _spoil(directory: EngageDir, user: str, key: str, value: Any) -> None:
    """Puts another value into somebody's record."""
    with closing(EngageStore(directory.path / "engage" / "engage.db")) as store:
        (number,) = [one.number for one in store.computations() if one.key == key]
        (profile,) = [one for one in store.profiles() if user in one.of_type("user_id")]
        profile.values[number] = value
        store._db.execute(
            "UPDATE profile SET record = ? WHERE id = ?",
            (msgspec.msgpack.encode(profile), profile.id),
        )


# Telling again


def test_a_resync_waits_for_a_server(directory: EngageDir) -> None:
    """The request is where Engage finds it when it starts."""
    result = call("resync", "buyers", "--data-dir", directory.path)
    assert result.exit_code == 0, result.output
    assert "heap is told again of 2 people; it begins when a server does" in result.stderr
    assert list(Requests(directory.path).waiting().values()) == ["buyers"]
    found = json_of("resync", "orders", "--data-dir", directory.path)
    assert found == {"key": "orders", "members": 2, "server": "stopped", "trouble": ""}


# Directories without anything


def test_without_engage_every_command_says_so(tmp_path: Path) -> None:
    """In a directory in which nothing was ever computed, and in a backup, which holds nothing of it."""
    plain = DataDir(tmp_path / "plain")
    plain.use(destinations=[destination()])
    plain.accept("m-1")
    backup = tmp_path / "backup"
    made = CliRunner().invoke(app, ["backup", str(backup), "--data-dir", str(plain.path)])
    assert made.exit_code == 0, made.output
    for path in (plain.path, backup):
        for words in (
            ["list"],
            ["members", "a"],
            ["explain", "a", "b"],
            ["verify"],
            ["export", "a"],
        ):
            result = call(*words, "--data-dir", path)
            assert result.exit_code == 1, words
            assert "Engage has stored nothing" in result.stderr
