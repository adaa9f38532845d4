"""find, replay and deadletters as people and scripts call them, up to the request that the worker takes up."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from data_dirs import DataDir, destination
from headgate.cli import app
from headgate.delivery.facts import DELIVERED, DISCARDED, Facts
from headgate.delivery.positions import unpack
from headgate.delivery.replays import ReplayRequest, decode


def call(*words: str | Path) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


def json_of(result: Result) -> Any:
    return msgspec.json.decode(result.stdout)


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """Two messages delivered, one discarded by settings, two dead letters, one message pending."""
    data_dir = DataDir(tmp_path / "data")
    data_dir.use(destinations=[destination()])
    data_dir.append(
        data_dir.say("identify", "m-1", traits={"plan": 1}),
        data_dir.say("track", "m-2", "bob", event="Bought"),
        data_dir.say("track", "m-3", "guest"),
        data_dir.say("identify", "m-4", traits={"plan": 2}),
        data_dir.say("track", "m-5", event="Looked"),
        data_dir.say("track", "m-6"),
    )
    data_dir.settle(DELIVERED, 4, 5)
    data_dir.settle(DISCARDED, 3, reason="junk_identity")
    number = data_dir.attempt(1, 2, status=400, answer=b'{"error":"\x1b[2J no"}')
    data_dir.give_up(1, 2, attempt_id=number, cursor=5)
    return data_dir


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], list[Path]]:
    """Puts a running server's answer in place of none; what it returns collects where it was told."""

    def answer_with(words: str | None) -> list[Path]:
        told: list[Path] = []

        def tell_replay(data_dir: Path) -> str | None:
            told.append(data_dir)
            return words

        monkeypatch.setattr("headgate.control.tell_replay", tell_replay)
        return told

    return answer_with


def requests(data_dir: DataDir) -> list[ReplayRequest]:
    """What the worker would find."""
    paths = sorted((data_dir.path / "replays").glob("*.request"))
    return [decode(path.read_bytes()) for path in paths]


def asked(request: ReplayRequest) -> tuple[dict[str, list[int]], list[int]]:
    """The writes by user and the events for the destination."""
    wanted = request.destinations[1]
    writes = {user: list(unpack(packed)) for user, packed in wanted.writes.items()}
    return writes, list(unpack(wanted.events))


# find


def test_find_answers_which_messages_have_a_reason(stored: DataDir) -> None:
    """A line each, newest first, with what tells them apart; the rest stands on top."""
    result = call("find", "--reason", "refused", "--data-dir", stored.path)
    assert result.exit_code == 0
    common, head, *lines = result.stdout.splitlines()
    assert common == "All of source website, destination heap, outcome failed, reason refused"
    assert head.split() == ["received", "what", "user", "message"]
    assert [line.split()[-1] for line in lines] == ["m-2", "m-1"]
    assert lines[0].split()[1:4] == ["track", "Bought", "bob"]


def test_find_shows_a_column_as_soon_as_it_tells_messages_apart(stored: DataDir) -> None:
    """The id comes last, since it is the longest."""
    head = call("find", "--user", "ann", "--data-dir", stored.path).stdout.splitlines()[1]
    assert head.split() == ["received", "what", "outcome", "reason", "message"]


def test_find_sends_those_who_look_for_a_refused_message_to_trace(stored: DataDir) -> None:
    """By its id, and by a reason that the doors have as well."""
    stored.refuse("r-1", "no_ids")
    result = call("find", "--id", "r-1", "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "r-1 was refused at the door" in result.stderr
    assert "headgate trace r-1" in result.stderr
    result = call("find", "--reason", "suppressed", "--data-dir", stored.path)
    assert result.exit_code == 0
    assert "the doors refuse for this reason are not in the log" in result.stderr


def test_find_for_programs_says_whether_there_is_more(stored: DataDir) -> None:
    """The newest, as many as asked for."""
    told = json_of(call("find", "--limit", "2", "--json", "--data-dir", stored.path))
    assert [one["messageId"] for one in told["messages"]] == ["m-6", "m-5"]
    assert told["more"]


def test_find_says_that_nothing_fits(stored: DataDir) -> None:
    """Exit status 0: the question was answered."""
    result = call("find", "--event", "Nothing", "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No message fits: event Nothing." in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--destination", "hep"], "there is no destination 'hep'; there are: heap"),
        pytest.param(["--source", "web"], "there are: website"),
        pytest.param(["--reason", "refusd"], "there are: refused"),
        pytest.param(["--reason", "no_ids"], "the doors refuse messages"),
        pytest.param(["--outcome", "lost"], "expected one of delivered, discarded, failed"),
        pytest.param(["--from", "yesterday"], "expected a time such as"),
        pytest.param(
            ["--from", "2026-11-02", "--to", "2026-11-01"], "expected a time after --from"
        ),
    ],
    ids=lambda value: value[0].strip("-") if isinstance(value, list) else "",
)
@pytest.mark.parametrize("command", ["find", "replay"])
def test_a_criterion_that_cannot_be_is_wrong_usage(
    stored: DataDir, command: str, words: list[str], said: str
) -> None:
    """Exit status 2; what was wrong, and what would be right."""
    result = call(command, *words, "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.replace("│", " ").split())


# replay


def test_a_replay_without_any_criterion_is_refused(stored: DataDir) -> None:
    """Nobody sends everything again by mistake; --all says that it is meant."""
    result = call("replay", "--data-dir", stored.path)
    assert result.exit_code == 2
    assert "--all" in result.stderr
    assert call("replay", "--all", "--dry-run", "--data-dir", stored.path).exit_code == 0
    assert requests(stored) == []


def test_a_dry_run_says_what_would_be_sent_and_changes_nothing(stored: DataDir) -> None:
    """How many, what goes along, what would be discarded again, what stays, how long it takes."""
    before = {path: path.read_bytes() for path in stored.path.rglob("*.db")}
    result = call("replay", "--destination", "heap", "--dry-run", "--data-dir", stored.path)
    assert result.exit_code == 0
    for words in (
        "4 messages to send again (destination heap)",
        "2 failed, refused",
        "1 discarded, junk_identity",
        "1 would be discarded again: junk_identity",
        "2 of them are profile writes, 1 of these later ones",
        "1 message is pending and goes before",
        "less than a minute",
        "2 messages at heap: They were delivered",
        "1 message at heap: They are pending already.",
    ):
        assert words in result.stdout
    assert "Nothing was changed." in result.stderr
    assert {path: path.read_bytes() for path in stored.path.rglob("*.db")} == before
    assert not (stored.path / "replays").exists()


def test_a_dry_run_for_programs_is_the_plan(stored: DataDir) -> None:
    """One object."""
    words = ("--reason", "refused", "--dry-run", "--json", "--data-dir", stored.path)
    plan = json_of(call("replay", *words))["plan"]
    assert (plan["messages"], plan["criteria"]) == (3, "reason refused")
    assert plan["destinations"][0]["laterProfileWrites"] == 1


def test_a_replay_is_stored_for_the_next_start(stored: DataDir) -> None:
    """No server runs: the request waits, whole, with the later profile write that goes along."""
    result = call("replay", "--reason", "refused", "--data-dir", stored.path)
    assert result.exit_code == 0
    assert "No server runs" in result.stderr
    (request,) = requests(stored)
    assert (request.criteria, request.planned_to) == ("reason refused", 6)
    assert asked(request) == ({"ann": [1, 4]}, [2])
    assert request.name in call("replay", "--list", "--data-dir", stored.path).stdout


def test_delivered_messages_go_again_only_when_that_is_said(stored: DataDir) -> None:
    """By outcome, whatever else is asked for."""
    call("replay", "--user", "ann", "--data-dir", stored.path)
    call("replay", "--user", "ann", "--outcome", "delivered", "--data-dir", stored.path)
    assert [asked(request) for request in requests(stored)] == [
        ({"ann": [1, 4]}, []),
        ({"ann": [4]}, [5]),
    ]


def test_what_a_server_has_taken_up_is_followed_to_its_end(
    stored: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at again and again, until every message has its outcome."""

    def take_up(data_dir: Path) -> str:
        (request,) = requests(stored)
        stored.replay(request.name, 2)
        return ""

    def settle(_: float) -> None:
        (request,) = requests(stored)
        stored.give_up(2)
        stored.record(Facts(replayed=Counter({(request.name, 1): 1})))

    monkeypatch.setattr("headgate.control.tell_replay", take_up)
    monkeypatch.setattr("headgate.control.answers", lambda data_dir: True)
    monkeypatch.setattr("time.sleep", settle)
    result = call("replay", "--id", "m-2", "--json", "--data-dir", stored.path)
    assert result.exit_code == 0
    assert "has begun" in result.stderr
    assert "has ended: 1 failed again (refused); see headgate deadletters list." in result.stderr
    told = json_of(result)
    assert (told["server"], told["progress"][0]["state"]) == ("taken", "ended")
    assert told["progress"][0]["outcomes"] == [
        {"outcome": "failed", "reason": "refused", "messages": 1}
    ]


def test_a_server_that_goes_away_is_not_waited_for(
    stored: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay goes on when it starts."""

    def take_up(data_dir: Path) -> str:
        (request,) = requests(stored)
        stored.replay(request.name, 2)
        return ""

    monkeypatch.setattr("headgate.control.tell_replay", take_up)
    result = call("replay", "--id", "m-2", "--data-dir", stored.path)
    assert result.exit_code == 0
    assert "The server has gone" in result.stderr


def test_a_backup_can_be_planned_with_and_not_more(stored: DataDir, tmp_path: Path) -> None:
    """A dry run reads it; sending again needs a directory."""
    backup = tmp_path / "headgate.backup"
    assert call("backup", backup, "--data-dir", stored.path).exit_code == 0
    words = ("replay", "--reason", "refused", "--data-dir", backup)
    assert "3 messages to send again" in call(*words, "--dry-run").stdout
    result = call(*words)
    assert result.exit_code == 1
    assert "is a backup; restore it first" in result.stderr


def test_nobody_waits_who_does_not_want_to(
    stored: DataDir, answer: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--no-wait returns once the server has taken it up."""
    answer("")
    monkeypatch.setattr("headgate.cli.replay._follow", lambda *_: pytest.fail("it waited"))
    words = ("--id", "m-2", "--no-wait", "--data-dir", stored.path)
    assert call("replay", *words).exit_code == 0


def test_why_a_server_does_not_take_it_up_is_told(
    stored: DataDir, answer: Callable[..., list[Path]]
) -> None:
    """Exit status 1; the request stays for later."""
    answer("the worker is not there")
    result = call("replay", "--id", "m-2", "--data-dir", stored.path)
    assert result.exit_code == 1
    assert "the worker is not there" in result.stderr
    assert len(requests(stored)) == 1


def test_a_replay_that_goes_on_is_listed_with_its_progress(stored: DataDir) -> None:
    """For people and for programs."""
    assert "no replay" in call("replay", "--list", "--data-dir", stored.path).stderr
    stored.replay("20231114-221320000-ab", 4, 5, settled=1)
    stored.settle(DELIVERED, 4)
    lines = call("replay", "--list", "--data-dir", stored.path).stdout.splitlines()
    assert lines[1].split() == ["20231114-221320000-ab", "heap", "open", "1", "2"]
    assert lines[2] == "  everything: 1 delivered, 1 pending"
    (told,) = json_of(call("replay", "--list", "--json", "--data-dir", stored.path))["replays"]
    assert (told["settled"], told["total"], told["endedAt"]) == (1, 2, None)


def test_an_id_that_nobody_has_is_told(stored: DataDir) -> None:
    """Exit status 1; a known one that cannot go says why."""
    result = call("replay", "--id", "nobody", "--data-dir", stored.path)
    assert result.exit_code == 1
    assert "no message has the id nobody" in result.stderr
    result = call("replay", "--id", "m-5", "--data-dir", stored.path)
    assert result.exit_code == 0
    assert "--outcome delivered sends them" in result.stdout
    assert requests(stored) == []


def test_nothing_can_be_replayed_where_nothing_is_settled(tmp_path: Path) -> None:
    """Delivery has not run yet."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    result = call("replay", "--all", "--data-dir", tmp_path)
    assert result.exit_code == 1
    assert "nothing has an outcome" in result.stderr


# deadletters


def test_dead_letters_are_counted_and_listed(stored: DataDir) -> None:
    """By destination and reason on top, then one by one."""
    result = call("deadletters", "list", "--data-dir", stored.path)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[1][:3] == ["heap", "refused", "2"]
    assert sorted(line[1] for line in lines[4:]) == ["m-1", "m-2"]
    told = json_of(
        call("deadletters", "list", "--user", "bob", "--json", "--data-dir", stored.path)
    )
    assert (told["total"], told["letters"][0]["messageId"]) == (1, "m-2")


def test_a_dead_letter_is_shown_in_full(stored: DataDir) -> None:
    """The message, the row, the request, Heap's answer, what to do; nothing steers the terminal."""
    result = call("deadletters", "show", "m-2", "--data-dir", stored.path)
    assert result.exit_code == 0
    for words in ("Heap answered 400", "Bought", '{"the":"row"}', '"events":[]', "answered 400"):
        assert words in result.stdout
    assert "\x1b" not in result.stdout
    told = json_of(call("deadletters", "show", "m-2", "--json", "--data-dir", stored.path))
    assert told["letters"][0]["message"]["event"] == "Bought"


def test_an_unknown_dead_letter_is_exit_status_1(stored: DataDir) -> None:
    """With where to look instead."""
    result = call("deadletters", "show", "m-5", "--data-dir", stored.path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no dead letter with the id 'm-5'" in result.stderr


def test_dead_letters_are_exported_as_lines(stored: DataDir, tmp_path: Path) -> None:
    """To stdout, or to a file that must not exist; each can be posted again."""
    result = call("deadletters", "export", "--data-dir", stored.path)
    lines = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert {(one["messageId"], one["message"]["userId"]) for one in lines} == {
        ("m-1", "ann"),
        ("m-2", "bob"),
    }
    assert all((one["reason"], one["status"]) == ("refused", 400) for one in lines)
    output = tmp_path / "letters.jsonl"
    words = ("deadletters", "export", "--output", output, "--data-dir", stored.path)
    assert call(*words).exit_code == 0
    assert output.read_text() == result.stdout
    again = call(*words)
    assert again.exit_code == 2
    assert "exists already" in again.stderr


def test_dead_letters_are_sent_again(stored: DataDir) -> None:
    """By id or criteria, with the same plan and the same request as any replay."""
    result = call("deadletters", "replay", "m-1", "--dry-run", "--data-dir", stored.path)
    assert "2 messages to send again (dead letters, id m-1)" in result.stdout
    assert call("deadletters", "replay", "--all", "--data-dir", stored.path).exit_code == 0
    (request,) = requests(stored)
    assert asked(request) == ({"ann": [1, 4]}, [2])


def test_dead_letters_are_not_all_sent_again_by_mistake(stored: DataDir) -> None:
    """Exit status 2 without a criterion, 1 for an id that is none."""
    assert call("deadletters", "replay", "--data-dir", stored.path).exit_code == 2
    result = call("deadletters", "replay", "m-5", "--data-dir", stored.path)
    assert result.exit_code == 1
    assert "there are no such dead letters: dead letters, id m-5" in result.stderr
    assert requests(stored) == []


# status and trace


def test_status_begins_with_what_is_wrong(stored: DataDir) -> None:
    """The newest trouble first, then what was given up on; replays that go on are there."""
    stored.stand("refusing", "answered 400: unknown app")
    stored.replay("20231114-221320000-ab", 4, 5, settled=1)
    lines = call("status", "--data-dir", stored.path).stdout.splitlines()
    assert lines[0].startswith("heap is refusing since 2023-11-14T22:13:20.000Z: answered 400")
    assert lines[1].startswith("2 messages were given up on")
    assert any("20231114-221320000-ab to heap: open, 1 of 2 settled" in line for line in lines)


def test_trace_begins_with_where_the_message_stands(stored: DataDir) -> None:
    """A line per destination, then the rest; long values are cut unless everything is asked for."""
    stored.append(stored.say("track", "long", properties={"text": "x" * 5_000}))
    lines = call("trace", "m-2", "--data-dir", stored.path).stdout.splitlines()
    assert lines[1].startswith("heap: failed (refused) at ")
    assert any("It is kept as a dead letter" in line for line in lines)
    assert "--full shows all" in call("trace", "long", "--data-dir", stored.path).stdout
    full = call("trace", "long", "--full", "--data-dir", stored.path).stdout
    assert "x" * 5_000 in full
    assert "--full" not in full


def test_of_many_attempts_the_first_and_the_last_are_told(stored: DataDir) -> None:
    """Twenty are told in full; of more, the middle only when everything is asked for."""
    for _ in range(30):
        stored.attempt(6, status=503)
        stored.clock.advance(1)
    result = call("trace", "m-6", "--data-dir", stored.path).stdout
    numbers = [line.split()[1] for line in result.splitlines() if line.startswith("Attempt ")]
    assert numbers == ["1", "2", "3", "26", "27", "28", "29", "30"]
    assert "… 22 more attempts; --full tells of all" in result
    assert result.count("answered 503 after") == 8
    full = call("trace", "m-6", "--full", "--data-dir", stored.path).stdout
    assert full.count("answered 503 after") == 30
