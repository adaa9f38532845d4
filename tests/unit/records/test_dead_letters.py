"""The dead letters: counted, listed, shown and sent again, also without the log."""

from contextlib import closing
from pathlib import Path

import pytest

from data_dirs import NOW_MS, DataDir, destination
from headgate.delivery.facts import DELIVERED, FAILED, DeadLetter, Facts
from headgate.delivery.positions import unpack
from headgate.destinations.catalog import CATALOG
from headgate.records.dead_letters import DeadLetters, Listing, Shown, Wanted
from headgate.records.plan import Planned
from headgate.records.stretches import Range

MINUTE_MS = 60_000


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """Three dead letters of two destinations, given up on a minute apart."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination(), destination("second")])
    data_dir.append(data_dir.say("track", "a"), data_dir.say("identify", "b", "bob"))
    number = data_dir.attempt(1, status=400, answer=b'{"why":"no"}', request=b'{"events":["a"]}')
    data_dir.give_up(1, attempt_id=number)
    data_dir.clock.advance(60)
    data_dir.give_up(2, reason="retry_window_over", cursor=2)
    data_dir.clock.advance(60)
    data_dir.give_up(2, to=2, cursor=2)
    return data_dir


def listed(data_dir: DataDir, wanted: Wanted, limit: int = 20) -> Listing:
    with data_dir.opened() as opened, closing(DeadLetters(opened)) as letters:
        return letters.listing(wanted, limit)


def shown(data_dir: DataDir, wanted: Wanted) -> list[Shown]:
    with data_dir.opened() as opened, closing(DeadLetters(opened)) as letters:
        return list(letters.shown(wanted))


def planned(data_dir: DataDir, wanted: Wanted) -> Planned:
    with data_dir.opened() as opened, closing(DeadLetters(opened)) as letters:
        plan = letters.plan(CATALOG, wanted, old_profiles=False)
    assert plan is not None
    return plan


def sent_again(plan: Planned) -> dict[int, set[int]]:
    """By destination, what goes."""
    return {
        id_: {seq for packed in (*one.writes.values(), one.events) for seq in unpack(packed)}
        for id_, one in plan.destinations.items()
    }


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        pytest.param(Wanted(), ["b", "b", "a"], id="all, newest first"),
        pytest.param(Wanted(destination="heap"), ["b", "a"], id="destination"),
        pytest.param(Wanted(reason="refused"), ["b", "a"], id="reason"),
        pytest.param(Wanted(user="bob"), ["b", "b"], id="user"),
        pytest.param(Wanted(given_up=Range(NOW_MS, NOW_MS + MINUTE_MS)), ["a"], id="time"),
        pytest.param(Wanted(ids=("a",), destination="second"), [], id="id elsewhere"),
        pytest.param(Wanted(ids=("a", "b"), destination="heap"), ["a", "b"], id="ids"),
    ],
)
def test_those_that_fit_are_listed(stored: DataDir, wanted: Wanted, ids: list[str]) -> None:
    """By destination, reason, user, time of giving up, and id."""
    found = listed(stored, wanted)
    assert [one.message_id for one in found.letters] == ids
    assert found.total == len(ids)


def test_all_are_counted_however_few_are_listed(stored: DataDir) -> None:
    """By destination and reason, the most first, with the reason in words."""
    stored.give_up(2, to=1)
    found = listed(stored, Wanted(), limit=1)
    assert len(found.letters) == 1
    assert [(one.destination, one.reason, one.letters) for one in found.groups] == [
        ("heap", "refused", 2),
        ("second", "refused", 1),
    ]
    assert all(one.sentence for one in found.groups)


def test_one_is_shown_with_request_and_answer(stored: DataDir) -> None:
    """The message as it came, the row, what was sent and what came back, what to do."""
    (one,) = shown(stored, Wanted(ids=("a",)))
    assert (one.source, one.type, one.message["messageId"]) == ("website", "track", "a")
    assert (one.row, one.request) == ({"the": "row"}, '{"events":["a"]}')
    assert (one.status, one.answer) == (400, '{"why":"no"}')
    assert one.sentence.startswith("Heap answered 400")
    assert one.remedy


def test_it_is_all_there_when_the_log_is_not(stored: DataDir) -> None:
    """The letter keeps its own message; requests go with the log."""
    before = shown(stored, Wanted())
    for path in (stored.path / "log").glob("*.db*"):
        path.unlink()
    assert [one.message for one in shown(stored, Wanted())] == [one.message for one in before]


def test_a_letter_without_a_message_is_completed_from_the_log(stored: DataDir) -> None:
    """An older Headgate kept none; when the log has let go of it too, there is none."""
    bare = DeadLetter(1, 1, "a", "ann", "refused", NOW_MS, None, b"{}", b"")
    stored.record(Facts(dead_letters=[bare]))
    (one,) = shown(stored, Wanted(ids=("a",)))
    assert one.message["messageId"] == "a"
    assert sent_again(planned(stored, Wanted(ids=("a",)))) == {1: {1}}
    for path in (stored.path / "log").glob("*.db*"):
        path.unlink()
    (one,) = shown(stored, Wanted(ids=("a",)))
    assert (one.message, one.source) == (None, None)
    plan = planned(stored, Wanted(ids=("a",)))
    assert ([left.why for left in plan.plan.left_out], sent_again(plan)) == (["bare"], {})


def test_those_that_fit_are_planned_for_sending_again(stored: DataDir) -> None:
    """At the destinations where they failed, under criteria that say so."""
    plan = planned(stored, Wanted(reason="refused"))
    assert sent_again(plan) == {1: {1}, 2: {2}}
    assert plan.plan.criteria == "dead letters, reason refused"


def test_one_that_is_being_sent_again_is_left_out(stored: DataDir) -> None:
    """It stays a dead letter until it has another outcome, and is not sent twice."""
    stored.replay("earlier", 1)
    plan = planned(stored, Wanted(ids=("a",)))
    assert ([left.why for left in plan.plan.left_out], sent_again(plan)) == (["replayed"], {})


def test_a_later_profile_write_goes_along(stored: DataDir) -> None:
    """Here too, the newest value lands last."""
    stored.append(stored.say("identify", "newer", "bob"))
    stored.settle(DELIVERED, 3, cursor=3)
    assert sent_again(planned(stored, Wanted(ids=("b",), destination="heap"))) == {1: {2, 3}}


def test_without_facts_there_are_none(tmp_path: Path) -> None:
    """Delivery has not run yet."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    assert listed(data_dir, Wanted()).total == 0
    with data_dir.opened() as opened, closing(DeadLetters(opened)) as letters:
        assert letters.plan(CATALOG, Wanted(), old_profiles=False) is None


def test_what_is_asked_for_reads_as_a_sentence() -> None:
    """For plans, and for the list of replays."""
    assert str(Wanted()) == "dead letters"
    wanted = Wanted(destination="heap", user="ann", given_up=Range(None, NOW_MS))
    assert str(wanted) == (
        "dead letters, destination heap, user ann, given up before 2023-11-14T22:13:20.000Z"
    )


def test_what_failed_is_what_the_letters_say(stored: DataDir) -> None:
    """The fixture's facts and letters agree, so that the tests above mean something."""
    with stored.opened() as opened:
        facts = opened.facts()
        assert facts is not None
        with closing(facts):
            assert facts.outcomes_of(1, 1)[-1].outcome == FAILED
