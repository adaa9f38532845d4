"""`headgate import` on a directory that no server runs on, as people and scripts call it."""

import gzip
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from data_dirs import DataDir, destination, source
from factories import message
from headgate.cli import app
from headgate.clock import SystemClock
from headgate.eventlog.sqlite import sqlite_reader
from headgate.locks import hold
from headgate.spec.message import normalize
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore

THEN = "2019-03-01T10:00:00.000Z"
LATER = "2019-03-01T12:30:00.000Z"


def call(*words: str | Path, stdin: bytes | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    """Two sources, the website's messages go to Heap; nothing has arrived."""
    found = DataDir(tmp_path / "data")
    found.use(sources=[source(), source("app")], destinations=[destination()])
    return found


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Where tests put what is to be imported."""
    return tmp_path / "archive.jsonl"


def fill(archive: Path, *lines: bytes) -> Path:
    archive.write_bytes(b"".join(line + b"\n" for line in lines))
    return archive


def importing(
    data_dir: DataDir, file: Path | str, *options: str, stdin: bytes | None = None
) -> Any:
    """What the command answers to programs; it has to have come to the end."""
    words = ("import", file, "--source", "website", "--data-dir", data_dir.path, "--json", *options)
    result = call(*words, stdin=stdin)
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


def held(data_dir: DataDir) -> list[dict[str, Any]]:
    """What the log holds, as every later stage reads it, with its source."""
    reader = sqlite_reader(data_dir.path / "log")
    found = [
        normalize(one.raw, one.envelope, one.given_id) | {"source": one.envelope.source}
        for block in reader.blocks(0)
        for one in block.entries()
    ]
    reader.close()
    return found


def ids(data_dir: DataDir) -> list[str]:
    return [one["messageId"] for one in held(data_dir)]


def privacy(data_dir: DataDir) -> SqlitePrivacyStore:
    return SqlitePrivacyStore(data_dir.path / "workspace.db", SystemClock())


def test_an_archive_is_taken_into_the_log_for_nobody(data_dir: DataDir, archive: Path) -> None:
    """In its order, each at its own time, under a source that has no destinations."""
    fill(archive, message("a", timestamp=LATER, sentAt=LATER), message("b", originalTimestamp=THEN))
    told = importing(data_dir, archive)
    assert (told["lines"], told["accepted"], told["complete"]) == (2, 2, True)
    assert told["times"] == {"timestamp": 1, "originalTimestamp": 1}
    assert [(one["source"], one["messageId"], one["timestamp"]) for one in held(data_dir)] == [
        ("import/website", "a", LATER),
        ("import/website", "b", THEN),
    ]


def test_with_deliver_the_messages_are_the_source_s_own(data_dir: DataDir, archive: Path) -> None:
    """So its destinations owe them an outcome."""
    importing(data_dir, fill(archive, message("a", timestamp=THEN, sentAt=LATER)), "--deliver")
    (one,) = held(data_dir)
    assert (one["source"], one["timestamp"]) == ("website", THEN)
    audited = msgspec.json.decode(call("audit", "--json", "--data-dir", data_dir.path).stdout)
    assert audited["destinations"]["heap"]["pending"] == 1


def test_an_import_that_is_run_again_adds_nothing(data_dir: DataDir, archive: Path) -> None:
    """Not even messages without an id, and not when they are to be delivered this time."""
    fill(archive, message("a"), message(None), message("b"), message("a"), message(None))
    told = importing(data_dir, archive)
    assert (told["accepted"], told["duplicates"], told["withoutId"]) == (3, 2, 1)
    before = held(data_dir)
    for options in ((), ("--deliver",), ("--dry-run",)):
        told = importing(data_dir, archive, *options)
        assert (told["accepted"], told["duplicates"], told["times"]) == (0, 5, {})
    assert held(data_dir) == before


def test_what_was_sent_before_is_a_duplicate_at_any_age(data_dir: DataDir, archive: Path) -> None:
    """The live message's, sealed long ago; another source's message is another one."""
    data_dir.accept("live-1", "live-2", segment_messages=1)
    data_dir.clock.advance(300 * 24 * 3600)
    data_dir.accept("m-3", segment_messages=1)
    told = importing(data_dir, fill(archive, message("live-2"), message("old"), message("live-1")))
    assert (told["accepted"], told["duplicates"]) == (1, 2)
    other = call("import", archive, "--source", "app", "--data-dir", data_dir.path, "--json")
    assert msgspec.json.decode(other.stdout)["accepted"] == 3


def test_gzip_and_stdin_are_read_as_they_are(data_dir: DataDir, archive: Path) -> None:
    """Several gzipped archives joined, by way of a pipe."""
    parts = [gzip.compress(message(f"m-{n}") + b"\n") for n in range(3)]
    archive.write_bytes(parts[0])
    assert importing(data_dir, archive)["accepted"] == 1
    told = importing(data_dir, "-", stdin=b"".join(parts))
    assert (told["accepted"], told["duplicates"]) == (2, 1)
    assert ids(data_dir) == ["m-0", "m-1", "m-2"]


def test_bad_lines_are_counted_and_named_and_cost_only_themselves(
    data_dir: DataDir, archive: Path
) -> None:
    """For people by reason, for programs by line."""
    fill(archive, message("a"), b"{", message("b", userId=None), b"null", message("c"))
    result = call("import", archive, "--source", "website", "--data-dir", data_dir.path)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "5 lines: 2 accepted, 0 duplicates, 3 refused"
    assert "  2 refused: not a JSON object (lines 2, 4)" in lines
    assert "  1 refused: neither a userId nor an anonymousId (line 3)" in lines
    assert "  2 have no time of their own and count as of now" in lines
    assert ids(data_dir) == ["a", "c"]
    told = importing(data_dir, archive)
    assert told["refused"] == {"malformed_message": 2, "no_ids": 1}
    assert told["badLines"][1] == {"line": 3, "reason": "no_ids"}


def test_of_many_bad_lines_the_first_are_named(data_dir: DataDir, archive: Path) -> None:
    """All are counted."""
    told = importing(data_dir, fill(archive, message("a"), *[b"[]"] * 4_000))
    assert told["refused"] == {"malformed_message": 4_000}
    assert [one["line"] for one in told["badLines"]] == list(range(2, 22))


def test_a_strict_import_stops_at_the_first_bad_line(data_dir: DataDir, archive: Path) -> None:
    """What stands before it is taken in, nothing behind it."""
    fill(archive, message("a"), message("b"), b"oops", message("c"), b"oops")
    words = ("import", archive, "--source", "website", "--data-dir", data_dir.path, "--strict")
    result = call(*words)
    assert result.exit_code == 1
    assert "stopped at line 3: not a JSON object" in result.stderr
    assert "3 lines: 2 accepted, 0 duplicates, 1 refused" in result.stdout
    assert ids(data_dir) == ["a", "b"]
    assert not msgspec.json.decode(call(*words, "--json").stdout)["complete"]


def test_a_dry_run_says_the_same_and_changes_nothing(data_dir: DataDir, archive: Path) -> None:
    """Also of duplicates within the archive, which the log does not tell it of."""
    with closing(privacy(data_dir)) as store:
        store.suppress("bob", actor="a test")
    lines = [message("a"), b"oops", message("b", userId="bob"), message("a")]
    lines += [message(f"m-{n}", properties={"text": "x" * 900}) for n in range(1_500)]
    fill(archive, *lines, message("a"), message("m-2"))
    planned = importing(data_dir, archive, "--dry-run")
    assert {path.name.partition("-")[0] for path in data_dir.path.iterdir()} == {"workspace.db"}
    assert planned.pop("dryRun")
    done = importing(data_dir, archive)
    assert not done.pop("dryRun")
    assert planned == done
    assert (done["accepted"], done["duplicates"]) == (1_501, 3)
    assert done["refused"] == {"malformed_message": 1, "suppressed": 1}


def test_who_is_suppressed_or_was_deleted_does_not_come_back_by_an_archive(
    data_dir: DataDir, archive: Path
) -> None:
    """Of one who was deleted only what is newer than that is taken."""
    with closing(privacy(data_dir)) as store:
        store.suppress("bob", actor="a test")
        store.delete("eve", actor="a test")
    fill(
        archive,
        message("a", userId="bob", timestamp=THEN),
        message("b", userId="eve", timestamp=THEN),
        message("c", userId="eve", timestamp="2100-01-01T00:00:00Z"),
        message("d", userId="ann", timestamp=THEN),
    )
    told = importing(data_dir, archive)
    assert told["refused"] == {"suppressed": 1, "deleted": 1}
    assert ids(data_dir) == ["c", "d"]


def test_a_broken_archive_is_taken_in_as_far_as_it_goes(data_dir: DataDir, archive: Path) -> None:
    """And says so; with the whole one it goes on."""
    whole = gzip.compress(b"\n".join(message(f"m-{n}", n=n * 7919) for n in range(20_000)))
    archive.write_bytes(whole[:-1000])
    words = ("import", archive, "--source", "website", "--data-dir", data_dir.path)
    result = call(*words)
    assert result.exit_code == 1
    assert "the gzip data ends early, after line" in result.stderr
    taken = len(ids(data_dir))
    assert 0 < taken < 20_000
    archive.write_bytes(whole)
    assert f"20,000 lines: {20_000 - taken:,} accepted, {taken:,} dupl" in call(*words).stdout
    assert ids(data_dir) == [f"m-{n}" for n in range(20_000)]


def test_a_file_without_any_message_is_a_no(data_dir: DataDir, archive: Path) -> None:
    """Somebody has named the wrong one; an empty one is none."""
    words = ("import", archive, "--source", "website", "--data-dir", data_dir.path)
    fill(archive, b"a,b", b"1,2")
    result = call(*words)
    assert result.exit_code == 1
    assert "is a message that could be taken in" in result.stderr
    fill(archive)
    assert call(*words).exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["FILE", "--source", "web"], "there is no source 'web'; there are: website"),
        pytest.param(["nowhere.gz", "--source", "website"], "No such file"),
        pytest.param(["FILE"], "--source"),
    ],
    ids=["source", "file", "no source"],
)
def test_what_cannot_be_is_wrong_usage(
    data_dir: DataDir, archive: Path, words: list[str], said: str
) -> None:
    """Exit status 2, and nothing is touched."""
    fill(archive, message("a"))
    named = [str(archive) if word == "FILE" else word for word in words]
    result = call("import", *named, "--data-dir", data_dir.path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert not (data_dir.path / "log").exists()


@pytest.mark.parametrize(
    ("lock", "said"),
    [("import.lock", "another import"), ("gateway.lock", "about to start or to stop")],
)
def test_the_log_has_one_writer(data_dir: DataDir, archive: Path, lock: str, said: str) -> None:
    """A second import, or a server that does not answer yet, keeps the first one away."""
    fill(archive, message("a"))
    words = ("import", archive, "--source", "website", "--data-dir", data_dir.path)
    with hold(data_dir.path / lock, 0):
        result = call(*words)
        assert result.exit_code == 1
        assert said in result.stderr
    assert call(*words).exit_code == 0


def test_an_import_keeps_to_the_log_s_limit(
    data_dir: DataDir, archive: Path, tmp_path: Path
) -> None:
    """What was taken in until then stays, and the same import goes on with it later."""
    config = tmp_path / "headgate.yaml"
    text = "sources: [{slug: website, type: website, writeKeys: [k]}]\ndestinations: []\n"
    config.write_text(text + "retention: {days: 30, maxBytes: 2000000}\n")
    assert call("apply", config, "--data-dir", data_dir.path).exit_code == 0
    noise = Random(7)
    fill(archive, *(message(f"m-{n}", text=noise.randbytes(400).hex()) for n in range(9_000)))
    words = ("import", archive, "--source", "website", "--data-dir", data_dir.path)
    result = call(*words)
    assert result.exit_code == 1
    assert "retention.maxBytes is reached" in result.stderr
    assert "run the same import again" in result.stderr
    assert 0 < len(ids(data_dir)) < 9_000


# what is told of imported messages


def test_an_imported_message_has_a_story(data_dir: DataDir, archive: Path) -> None:
    """Where it comes from, and that it goes to nobody."""
    importing(data_dir, fill(archive, message("a", timestamp=THEN, sentAt=LATER)))
    story = call("trace", "a", "--data-dir", data_dir.path)
    assert story.exit_code == 0
    assert "track to source website, imported from an archive, delivered to nobody" in story.stdout
    assert "imported: sentAt is left out" in story.stdout
    told = msgspec.json.decode(call("trace", "a", "--json", "--data-dir", data_dir.path).stdout)
    assert (told["source"], told["outcomes"]) == ("import/website", [])


def test_imported_messages_are_in_the_audit_and_owed_to_nobody(
    data_dir: DataDir, archive: Path
) -> None:
    """The sums stay what they were."""
    data_dir.accept("live-1")
    importing(data_dir, fill(archive, message("a"), message("b")))
    audited = msgspec.json.decode(call("audit", "--json", "--data-dir", data_dir.path).stdout)
    assert (audited["messages"], audited["accepted"], audited["pending"]) == (3, 1, 1)
    assert audited["brokenCount"] == 0


def test_find_says_where_to_look_for_imported_messages(data_dir: DataDir, archive: Path) -> None:
    """It lists messages by destination, and they have none."""
    importing(data_dir, fill(archive, message("a")))
    by_id = call("find", "--id", "a", "--id", "nobody", "--data-dir", data_dir.path)
    assert (by_id.exit_code, by_id.stdout) == (0, "")
    assert "a was imported and is for no destination: see headgate trace a" in by_id.stderr
    assert "nobody was imported" not in by_id.stderr
    by_source = call("find", "--source", "import/website", "--data-dir", data_dir.path)
    assert "Imported messages are for no destination" in by_source.stderr
