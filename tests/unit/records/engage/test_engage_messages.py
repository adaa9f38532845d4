"""A person's messages: from the log, from the archive, each once, whoever the person was at the time."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from data_dirs import NOW_MS
from engage_dirs import EngageDir, audience
from headgate.engage.store import EngageStore
from headgate.records.engage.messages import messages_of
from headgate.records.engage.people import find_person
from headgate.records.engage.stored import engaged


@pytest.fixture
def directory(tmp_path: Path) -> EngageDir:
    """Ann has four messages, the oldest anonymous, the third one's time the last; bob has one."""
    directory = EngageDir(tmp_path)
    directory.configure(audience("A", "event('E').count() >= 1"))
    directory.track("E", "anonymous", userId=None, anonymousId="anon", age_s=30)
    directory.identify("login", anonymousId="anon")
    directory.track("E", "late", age_s=10, properties={"n": 1}, context={"page": {"url": "u"}})
    directory.track("Other", "other", age_s=20)
    directory.track("E", "of-bob", userId="bob")
    directory.compute()
    return directory


def archive(directory: EngageDir, *, and_forget: bool) -> None:
    """Archives what was read, as Engage does now and then."""
    command = [sys.executable, "-m", "headgate.engage.history.archiving", str(directory.path)]
    answer = msgspec.json.decode(subprocess.run(command, capture_output=True, check=True).stdout)
    if and_forget:
        with closing(EngageStore(directory.path / "engage" / "engage.db")) as store:
            store.archived(answer["archived_to"])


def ids(directory: EngageDir, **asked: object) -> list[str]:
    """Ann's messages."""
    with engaged(directory.path) as store:
        ann = find_person(store, "ann")
        assert ann is not None
        found = messages_of(store, directory.path, ann.id, **asked)  # type: ignore[arg-type]
        return [one.message_id for one in found]


@pytest.mark.parametrize("archived", ["nothing", "everything", "everything, with the log's too"])
def test_a_persons_messages_are_found_by_their_own_time(
    directory: EngageDir, archived: str
) -> None:
    """Wherever they are, and those of the profile that was merged as well."""
    if archived != "nothing":
        archive(directory, and_forget=archived == "everything")
    assert ids(directory) == ["anonymous", "other", "late", "login"]
    assert ids(directory, names=["E"]) == ["anonymous", "late"]
    assert ids(directory, names=[]) == []
    assert ids(directory, since_ms=NOW_MS - 15_000) == ["late", "login"]


def test_an_archived_message_says_what_the_logs_says(directory: EngageDir) -> None:
    """Properties, context and identifiers come back as they were read."""
    with engaged(directory.path) as store:
        before = messages_of(store, directory.path, 1)
    archive(directory, and_forget=True)
    with engaged(directory.path) as store:
        assert messages_of(store, directory.path, 1) == before
    assert before[2].properties == {"n": 1}


def test_a_damaged_archive_is_an_error(directory: EngageDir) -> None:
    """Not a person without messages."""
    archive(directory, and_forget=True)
    for path in (directory.path / "engage" / "history").glob("*/*.parquet"):
        path.write_bytes(b"not parquet")
    with pytest.raises(OSError, match="history cannot be read"):
        ids(directory)
