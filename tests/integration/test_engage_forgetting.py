"""Users who are to be forgotten leave Engage: what it knows, what it still had to say, and its history."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engage_dirs import EngageDir, audience
from engage_reading import read_on
from headgate.engage.forgetting import forget, main
from headgate.engage.history.archiving import archive
from headgate.engage.history.backfill import select
from headgate.engage.history.chunks import chunks
from headgate.engage.history.parts import history_directory, parts_in
from headgate.engage.history.view import opened
from headgate.engage.profile import Identifier
from headgate.engage.reader import EngageReader
from headgate.engage.resuming import take_off
from headgate.engage.store import EngageStore
from headgate.engage.withheld import WithheldLog
from headgate.eventlog.block import Entry
from headgate.eventlog.erasing import erase
from headgate.eventlog.sqlite import sqlite_reader
from headgate.locks import hold
from headgate.stores import ENGAGE
from headgate.workspace.privacy import cutoffs_of
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore

ANN, BOB = Identifier("user_id", "annabelle"), Identifier("user_id", "bob")
BUYERS = audience("Buyers", "event('Order Completed').count() >= 1", "heap")
SPENT = {"name": "Spent", "definition": "event('Order Completed').sum('total')"}


@pytest.fixture
def stored(tmp_path: Path) -> EngageDir:
    """Annabelle, whom an anonymous visitor became, and bob have bought; nothing is computed yet."""
    data_dir = EngageDir(tmp_path / "data")
    data_dir.configure(BUYERS)
    data_dir.track("Order Completed", "m-1", userId=None, anonymousId="visitor-a")
    data_dir.identify(
        "m-2", userId="annabelle", anonymousId="visitor-a", traits={"fruit": "quince"}
    )
    data_dir.track("Order Completed", "m-3", userId="bob")
    return data_dir


@pytest.fixture
def privacy(stored: EngageDir) -> Iterator[SqlitePrivacyStore]:
    """What is recorded of deletions."""
    with closing(SqlitePrivacyStore(stored.path / "workspace.db", stored.clock)) as opened:
        yield opened


def delete(privacy: SqlitePrivacyStore, stored: EngageDir, user: str = "annabelle") -> None:
    """A deletion that the gateway has taken up."""
    privacy.delete(user, actor="a test")
    with closing(sqlite_reader(stored.path / "log")) as log:
        privacy.take_up(log.last_seq())


def forget_in(stored: EngageDir, privacy: SqlitePrivacyStore, **fields: Any) -> list[int]:
    """As Engage's process does it, without saying so."""
    with closing(EngageStore(stored.path / ENGAGE)) as store:
        return forget(store, privacy, stored.clock, **fields)


def compute(stored: EngageDir, privacy: SqlitePrivacyStore) -> None:
    """As Engage's process reads the log; what is to be told waits in the outbox."""
    read_on(stored, cutoffs_of(privacy.open_deletions()))


def known(stored: EngageDir, *identifiers: Identifier) -> list[bool]:
    """Whether somebody has each of these."""
    with closing(EngageReader(stored.path / ENGAGE)) as reader:
        return [reader.find(one) is not None for one in identifiers]


def values(stored: EngageDir, identifier: Identifier) -> dict[int, Any]:
    with closing(EngageReader(stored.path / ENGAGE)) as reader:
        profile = reader.find(identifier)
        assert profile is not None
        return profile.values


def waiting(stored: EngageDir) -> list[str]:
    """Whom the outbox is about."""
    with closing(EngageReader(stored.path / ENGAGE)) as reader:
        return [row.user_id for row in reader.outbox(100)]


def bytes_of_engage(stored: EngageDir) -> bytes:
    return b"".join(path.read_bytes() for path in (stored.path / "engage").glob("engage.db*"))


def test_a_deleted_user_leaves_everything_that_engage_knows(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """The profile with all its identifiers, what was to be told, sizes; neighbours stay as they are."""
    compute(stored, privacy)
    assert sorted(waiting(stored)) == ["annabelle", "bob"]
    delete(privacy, stored)
    assert forget_in(stored, privacy) == [1]
    assert known(stored, ANN, Identifier("anonymous_id", "visitor-a"), BOB) == [False, False, True]
    assert waiting(stored) == ["bob"]
    with closing(EngageReader(stored.path / ENGAGE)) as reader:
        assert reader.sizes() == {1: 1}
        assert len(reader.forgotten()) == 1
    for said in (b"annabelle", b"quince", b"visitor-a"):
        assert said not in bytes_of_engage(stored)


def test_engage_waits_until_the_gateway_has_taken_a_deletion_up(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """Only then is it known which messages belong to it."""
    compute(stored, privacy)
    privacy.delete("annabelle", actor="a test")
    assert forget_in(stored, privacy) == []
    assert known(stored, ANN) == [True]


def test_messages_that_engage_has_not_read_do_not_bring_a_deleted_user_back(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """The anonymous visitor's do not name the user, and stay, as they do in the log."""
    delete(privacy, stored)
    forget_in(stored, privacy)
    compute(stored, privacy)
    assert known(stored, ANN, BOB) == [False, True]
    assert waiting(stored) == ["bob"]
    assert b"annabelle" not in bytes_of_engage(stored)


def test_what_a_deleted_user_does_later_makes_somebody_new(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """Counted from the deletion on."""
    stored.configure(traits=[SPENT | {"definition": "event('Order Completed').count()"}])
    for at in range(3):
        stored.track("Order Completed", f"before-{at}", userId="annabelle")
    compute(stored, privacy)
    assert values(stored, ANN) == {1: 4}
    delete(privacy, stored)
    stored.track("Order Completed", "after", userId="annabelle")
    forget_in(stored, privacy)
    compute(stored, privacy)
    assert values(stored, ANN) == {1: 1}


def test_a_deletion_that_was_done_takes_nothing_of_what_came_afterwards(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """Though it is not recorded yet when the next one is asked for."""
    compute(stored, privacy)
    delete(privacy, stored)
    done = forget_in(stored, privacy)
    stored.track("Order Completed", "after", userId="annabelle")
    compute(stored, privacy)
    delete(privacy, stored, "bob")
    assert forget_in(stored, privacy, done=done) == [2]
    assert known(stored, ANN, BOB) == [True, False]


def test_identifiers_that_were_left_out_are_not_remembered(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """Neither where the user had no profile of their own."""
    stored.identify("m-4", userId="annabelle", traits={"email": "b@example.com"})
    stored.identify("m-5", userId="bob", traits={"email": "b@example.com"})
    stored.identify("m-6", userId="-1")
    compute(stored, privacy)
    with closing(EngageReader(stored.path / ENGAGE)) as reader:
        assert reader.violations()
    delete(privacy, stored)
    delete(privacy, stored, "bob")
    delete(privacy, stored, "-1")
    forget_in(stored, privacy)
    with closing(EngageReader(stored.path / ENGAGE)) as reader:
        assert reader.violations() == []


def history_of(stored: EngageDir) -> list[tuple[int, str]]:
    """Number and identifiers of every message in history."""
    import duckdb

    paths = [str(part.path) for part in parts_in(history_directory(stored.path))]
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT seq, identifiers FROM read_parquet($1) ORDER BY seq", [paths]
        )
        return rows.fetchall()


def test_without_a_process_of_engage_the_command_forgets_history_included(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """All that the person did goes from history, under another name as well; done twice is done once."""
    compute(stored, privacy)
    archive(stored.path)
    assert [seq for seq, _ in history_of(stored)] == [1, 2, 3]
    delete(privacy, stored)
    for _ in range(2):
        assert main([str(stored.path)]) == 0
        assert privacy.deletions_in_engage() == []
        assert [seq for seq, _ in history_of(stored)] == [3]
        assert known(stored, ANN, BOB) == [False, True]


def test_what_history_lacked_at_the_deletion_does_not_come_into_it_later(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """Messages are assigned to people before they are archived."""
    compute(stored, privacy)
    delete(privacy, stored)
    main([str(stored.path)])
    archive(stored.path)
    assert [seq for seq, _ in history_of(stored)] == [3]


def test_beside_a_process_of_engage_the_command_leaves_the_store_to_it(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """And erases from history whom that has forgotten."""
    compute(stored, privacy)
    archive(stored.path)
    delete(privacy, stored)
    with hold(stored.path / "engage.lock", 0):
        assert main([str(stored.path)]) == 0
        assert known(stored, ANN) == [True]
        privacy.engage_erased(forget_in(stored, privacy))
        assert main([str(stored.path)]) == 0
    assert [seq for seq, _ in history_of(stored)] == [3]
    assert privacy.deletions_in_engage() == []


def test_where_there_never_was_engage_nothing_is_made(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """The deletion is complete as far as it goes."""
    delete(privacy, stored)
    assert main([str(stored.path)]) == 0
    assert privacy.deletions_in_engage() == []
    assert not (stored.path / "engage").exists()


def entries(log: Any) -> list[Entry]:
    return [entry for block in log.blocks(0) for entry in block.entries()]


def test_what_is_withheld_looks_as_it_will_when_it_is_erased(stored: EngageDir) -> None:
    """Up to the number alone; numbers, ids and neighbours are as before."""
    stored.append(stored.say("track", "m-4", "annabelle"), segment_messages=1)
    with closing(WithheldLog(sqlite_reader(stored.path / "log"))) as log:
        whole = entries(log)
        log.withhold({"annabelle": 3})
        withheld = entries(log)
        assert [one.seq for one in withheld if one.envelope.erased] == [2]
        assert [one for one in withheld if one.seq != 2] == [one for one in whole if one.seq != 2]
        assert log.last_seq() == 4
        log.withhold({})
        assert entries(log) == whole
    with closing(sqlite_reader(stored.path / "log")) as reader:
        erase(stored.path / "log", reader.first_seq(), {"annabelle": 3})
    with closing(sqlite_reader(stored.path / "log")) as erased:
        assert entries(erased) == withheld


def test_what_the_log_has_already_is_not_handed_over_again(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """However long ago it took it; the rest waits on, in order."""
    compute(stored, privacy)
    with closing(EngageStore(stored.path / ENGAGE)) as store:
        first, second = store.outbox(10)
        stored.append(stored._emitted(*first[1:2], first.raw, first.message_id, first.user_id))
        stored.clock.advance(7 * 86_400)
        with closing(sqlite_reader(stored.path / "log")) as log:
            assert take_off(store, log) == 1
            assert store.outbox(10) == [second]
            assert take_off(store, log) == 0


def test_a_backfill_in_the_middle_loses_what_forgotten_people_did_and_keeps_its_places(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """Engage goes on by the offset that it remembers."""
    read_on(stored)
    file = stored.path / "engage" / "backfill-1.jsonl"
    with opened(stored.path) as view:
        select(view, ["Order Completed"], 3, file)
    before = list(chunks(file, messages=1))
    delete(privacy, stored)
    assert main([str(stored.path)]) == 0
    after = list(chunks(file, messages=1))
    assert [one.offset for one in after] == [one.offset for one in before]
    assert [one.profiles[0][0] for one in after] == [one.profiles[0][0] for one in before] == [1, 2]
    assert [one.profiles[0][1][0].name for one in after] == ["", "Order Completed"]
    assert after[1] == before[1]
    assert b"12.5" not in file.read_bytes().splitlines()[0]


def test_what_history_knows_under_numbers_from_before_a_merge_goes_as_well(
    stored: EngageDir, privacy: SqlitePrivacyStore
) -> None:
    """Two visitors became one person after their messages were archived."""
    stored.track("Order Completed", "m-4", userId=None, anonymousId="visitor-b")
    compute(stored, privacy)
    archive(stored.path)
    stored.identify("m-5", userId="annabelle", anonymousId="visitor-b")
    compute(stored, privacy)
    delete(privacy, stored)
    main([str(stored.path)])
    assert [seq for seq, _ in history_of(stored)] == [3]
