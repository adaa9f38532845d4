"""What destinations were told, counted; members page by page; the answers to tellings; what time changes next."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_dirs import destination
from engage_dirs import EngageDir, audience
from headgate.delivery.facts import DELIVERED, FAILED
from headgate.engage.profile import Sent
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.engage.answers import Answer, Sought, answers
from headgate.records.engage.changing import next_changes
from headgate.records.engage.members import Among, Order, page_of, sorted_page
from headgate.records.engage.standing import is_due, untold
from headgate.records.engage.stored import engaged
from headgate.records.engage.tallied import tallied
from headgate.records.engage.tallying import Tally, Told, bars_of, tally
from headgate.records.gist import gist

_HOUR_MS = 3_600_000
_BOUGHT = audience("A", "event('E').within(1 hour).count() >= 1", "heap", "other")
_TWO = [destination(), destination("other")]


@pytest.fixture
def directory(tmp_path: Path) -> EngageDir:
    """Ann was a member an hour ago, bob is one, of whom both destinations know."""
    directory = EngageDir(tmp_path)
    directory.configure(_BOUGHT, destinations=_TWO)
    directory.track("E", "m-1", userId="ann")
    directory.compute()
    directory.clock.advance(3_600)
    directory.track("E", "m-2", userId="bob")
    directory.compute()
    return directory


def figures(directory: EngageDir) -> Tally:
    """Of the first computation, as of now."""
    with engaged(directory.path) as store:
        return tally(store, store.records[:1], directory.clock.now_ms())[1]


def told_of(found: Told) -> tuple[int, int, int]:
    """Its figures."""
    return found.holding, found.emptied, found.waiting


def test_every_destination_has_figures_of_its_own(directory: EngageDir) -> None:
    found = figures(directory)
    assert (found.members, found.undeliverable, found.left, found.untold) == (1, 0, 1, 0)
    assert {slug: told_of(one) for slug, one in found.told.items()} == {
        "heap": (1, 1, 0),
        "other": (1, 1, 0),
    }


def test_a_new_destination_is_still_to_be_told_of_members_alone(directory: EngageDir) -> None:
    """Ann, who is none, is nothing that anybody has to hear of first."""
    directory.configure(
        _BOUGHT | {"destinations": ["heap", "third"]},
        destinations=[
            *_TWO,
            destination("third", enabled=False),
        ],
    )
    directory.compute()
    found = figures(directory)
    assert {slug: told_of(one) for slug, one in found.told.items()} == {
        "heap": (1, 1, 0),
        "third": (0, 0, 1),
        "other": (1, 1, 0),
    }
    assert found.untold == 1


def test_what_was_told_in_vain_is_not_taken_for_told(directory: EngageDir) -> None:
    """Bob is still to be told that he is a member, ann that she is none: she heard that she was one."""
    with engaged(directory.path) as store:
        (record, *_), (ann, bob) = store.records, [kept.profile for kept in store.load([1, 2])]
    for profile, user_id in ((ann, "ann"), (bob, "bob")):
        sent = profile.sent[user_id]
        sent["1/heap"] = sent["1/heap"].without(sent["1/heap"].number)
        assert untold(profile, record) == {"heap"}
    never = Sent(True, 1, 0).without(1)
    assert not is_due(never, record, False)
    assert is_due(never, record, True)


def test_who_left_is_forgotten_after_seven_days(directory: EngageDir) -> None:
    directory.clock.advance(7 * 24 * 3_600 - 1)
    assert figures(directory).left == 1
    directory.clock.advance(1)
    assert figures(directory).left == 0


def test_who_left_and_was_not_told_of_yet_has_left(directory: EngageDir) -> None:
    """Weeks after the last telling: destinations still take bob for a member."""
    off = [one | {"enabled": False} for one in _TWO]
    directory.configure(_BOUGHT, destinations=off)
    directory.compute()
    directory.clock.advance(14 * 24 * 3_600)
    directory.compute()
    found = figures(directory)
    assert (found.members, found.left, found.untold) == (0, 1, 1)


def test_a_process_of_its_own_counts_the_same(directory: EngageDir) -> None:
    assert tallied(directory.path, 1, directory.clock.now_ms()) == figures(directory)


def test_figures_that_cannot_be_counted_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Engage has stored nothing"):
        tallied(tmp_path, 1, 0)


def test_values_are_counted_by_json(tmp_path: Path) -> None:
    """1 and "1" are two values; an empty one is none."""
    directory = EngageDir(tmp_path)
    trait = {"name": "T", "definition": "event('V').last(property('v'))"}
    directory.configure(traits=[trait])
    for n, value in enumerate((1, 1, "1", 7, 0)):
        directory.track("V", f"v-{n}", userId=f"u-{n}", properties={"v": value})
    directory.compute()
    with engaged(directory.path) as store:
        (record,) = store.records
        found = tally(store, [record], 0)[record.number].values
    assert found is not None
    assert found.without == 1
    assert found.top == [(1, 2), ("1", 1), (7, 1)]
    assert sum(one.people for one in found.bars) == 3


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=30))
def test_every_number_is_in_one_bar(numbers: list[float]) -> None:
    """The bars follow each other, and there are not many."""
    bars = bars_of(numbers)
    assert len(bars) <= 12
    if bars:
        assert sum(one.people for one in bars) == len(numbers)
        assert bars[0].people
        assert bars[-1].people


# Members


def test_pages_follow_each_other_whatever_the_order(directory: EngageDir) -> None:
    for n in range(5):
        directory.track("E", f"e-{n}", userId=f"u-{n}")
    directory.compute()
    now_ms = directory.clock.now_ms()
    with engaged(directory.path) as store:
        record = store.records[0]
        first = page_of(store, record, Among.IN, now_ms, limit=4)
        second = page_of(store, record, Among.IN, now_ms, after=first.after, limit=4)
        assert [[one.id for one in page.people] for page in (first, second)] == [
            [2, 3, 4, 5],
            [6, 7],
        ]
        assert second.after == ""
        newest = sorted_page(store, record, Among.IN, Order.TOLD, now_ms, limit=4)
        rest = sorted_page(store, record, Among.IN, Order.TOLD, now_ms, after=newest.after, limit=4)
        numbers = [one.id for page in (newest, rest) for one in page.people]
        assert sorted(numbers) == [2, 3, 4, 5, 6, 7]
        assert rest.after == ""


def test_an_address_that_nobody_made_begins_at_the_beginning(directory: EngageDir) -> None:
    with engaged(directory.path) as store:
        for after in ("x", "[1]", "9" * 30, "{"):
            record, now_ms = store.records[0], directory.clock.now_ms()
            assert page_of(store, record, Among.IN, now_ms, after=after).people
            assert sorted_page(store, record, Among.IN, Order.TOLD, now_ms, after=after).people


# Answers


def test_each_telling_has_what_its_destination_answered(directory: EngageDir) -> None:
    """Failed, delivered, on its way; nothing of a destination that is not there."""
    latest = {slug: one.latest for slug, one in figures(directory).told.items()}
    assert latest["heap"] is not None
    assert latest["other"] is not None
    sought = {slug: Sought(slug, one.message_id) for slug, one in latest.items() if one is not None}
    gone = Sought("gone", "m")
    with directory.opened() as stored:
        assert answers(stored, [*sought.values(), gone]) == dict.fromkeys(
            sought.values(), Answer("pending")
        )
        seqs = {entry: seq for seq, entry in _tellings(directory)}
        place, other = (seqs[sought[slug].message_id] for slug in ("heap", "other"))
        attempt = directory.attempt(place, status=503)
        directory.settle(FAILED, place, attempt_id=attempt, reason="gave_up", at_ms=77)
        directory.settle(DELIVERED, other, to=2, attempt_id=directory.attempt(other, to=2))
        found = answers(stored, sought.values())
    assert found[sought["heap"]] == Answer("failed", "gave_up", 503, 77)
    assert (found[sought["other"]].outcome, found[sought["other"]].status) == ("delivered", 200)


def _tellings(directory: EngageDir) -> list[tuple[int, str]]:
    """The number and id of every message of the log."""
    with closing(sqlite_reader(directory.path / "log")) as log:
        entries = [entry for block in log.blocks(0) for entry in block.entries()]
        return [(entry.seq, gist(entry).message_id) for entry in entries]


# What time changes


def test_the_next_change_is_that_of_whoever_leaves_first(directory: EngageDir) -> None:
    directory.clock.advance(60)
    directory.track("E", "m-3", userId="cem")
    directory.compute()
    now_ms = directory.clock.now_ms()
    with engaged(directory.path) as store:
        coming = next_changes(store, store.records, now_ms)[1]
    assert (coming.at_ms, coming.value) == (now_ms - 60_000 + _HOUR_MS, False)


def test_somebody_who_stays_longer_than_once_thought_does_not_come_first(
    directory: EngageDir,
) -> None:
    """Engage looks at ann early, who came back since; bob is the first who leaves."""
    directory.track("E", "a-1", userId="ann")
    directory.compute()
    directory.clock.advance(600)
    directory.track("E", "b-1", userId="bob")
    directory.compute()
    bob_leaves_ms = directory.clock.now_ms() + _HOUR_MS
    directory.clock.advance(1_200)
    directory.track("E", "a-2", userId="ann")
    directory.compute()
    with engaged(directory.path) as store:
        assert [profile.id for _, profile in store.first_due(2)] == [1, 2]
        coming = next_changes(store, store.records, directory.clock.now_ms())[1]
    assert coming.at_ms == bob_leaves_ms


def test_what_time_does_not_change_has_no_next_change(directory: EngageDir) -> None:
    directory.configure(audience("Ever", "event('E').count() >= 1"))
    directory.compute()
    with engaged(directory.path) as store:
        assert next_changes(store, store.records, directory.clock.now_ms()) == {}
