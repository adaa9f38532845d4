"""Why somebody is in an audience: parts, the messages and traits behind them, what changes, what was told."""

from pathlib import Path
from typing import Any

import pytest

from data_dirs import NOW_MS, destination
from engage_dirs import EngageDir, audience
from headgate.delivery.facts import DELIVERED
from headgate.destinations.catalog import CATALOG
from headgate.records.engage.explaining import Reason, Why, explain
from headgate.records.engage.people import find_person
from headgate.records.engage.stored import engaged
from headgate.spec.timestamps import iso_ms

MINUTE_S = 60


@pytest.fixture
def directory(tmp_path: Path) -> EngageDir:
    """A data directory of the test's own."""
    return EngageDir(tmp_path)


def why(directory: EngageDir, key: str, person: str = "ann", **options: Any) -> Why:
    """The answer about a person, by the directory's clock."""
    with directory.opened() as stored, engaged(directory.path) as store:
        record, profile = store.record(key), find_person(store, person)
        assert record is not None
        assert profile is not None
        now_ms = directory.clock.now_ms()
        return explain(stored, store, CATALOG, record, profile, now_ms=now_ms, **options)


def ids(reason: Reason) -> list[str]:
    """The messages that a part names."""
    return [one.id for one in reason.messages]


def test_a_count_names_the_messages_in_its_window_and_until_when(directory: EngageDir) -> None:
    """Newest first; each with the instant at which it stops to count, which is when the answer changes."""
    directory.configure(audience("A", "event('E').within(10 minutes).count() >= 1", "heap"))
    directory.track("E", "old", age_s=11 * MINUTE_S)
    directory.track("E", "first", age_s=9 * MINUTE_S)
    directory.track("E", "second", age_s=3 * MINUTE_S)
    directory.track("Other", "other")
    directory.compute()
    found = why(directory, "a")
    assert (found.value, found.reason.value, found.reason.current) == (True, True, 2)
    assert [(one.id, one.until) for one in found.reason.messages] == [
        ("second", iso_ms(NOW_MS + 7 * MINUTE_S * 1000)),
        ("first", iso_ms(NOW_MS + 1 * MINUTE_S * 1000)),
    ]
    assert (found.changes_at, found.changes_to) == (iso_ms(NOW_MS + 7 * MINUTE_S * 1000), False)
    assert found.reason.newest_other is not None
    assert (found.reason.others, found.reason.newest_other.id) == (1, "old")


def test_only_so_many_messages_are_named_and_all_are_counted(directory: EngageDir) -> None:
    """The newest ones."""
    directory.configure(audience("A", "event('E').count() >= 1"))
    for n in range(7):
        directory.track("E", f"m-{n}", age_s=10 - n)
    directory.compute()
    reason = why(directory, "a", most=2).reason
    assert (reason.counting, ids(reason)) == (7, ["m-6", "m-5"])
    assert ids(why(directory, "a", most=0).reason) == []


def test_every_part_of_a_definition_is_answered(directory: EngageDir) -> None:
    """Junctions hold their parts; a trait names the identify that set it; a computed one its kind."""
    directory.configure(
        audience("Buyers", "event('E').count() >= 1"),
        audience(
            "A", "trait('buyers') = true AND (NOT trait('plan') = 'free' OR trait('x').exists())"
        ),
    )
    directory.identify("said", traits={"plan": "free"})
    directory.compute()
    found = why(directory, "a")
    buyers, other = found.reason.parts
    assert (found.value, found.reason.junction, other.junction) == (False, "all", "any")
    assert [(one.name, one.value, one.by) for one in buyers.traits] == [
        ("buyers", False, "audience")
    ]
    negated, exists = other.parts
    (plan,) = negated.parts[0].traits
    assert (negated.junction, negated.value, negated.parts[0].value) == ("not", False, True)
    assert (plan.value, plan.by, plan.at) == ("free", "said", iso_ms(NOW_MS))
    assert [(one.value, one.by) for one in exists.traits] == [(None, "")]


def test_a_funnel_names_the_parents_that_have_what_follows(directory: EngageDir) -> None:
    """Only the cart that was not paid for within its time counts; the payments are not listed as carts."""
    directory.configure(
        audience(
            "A",
            "event('Added').where(event('Paid').within(parent: 5 minutes).count() = 0)"
            ".within(1 hour).count() >= 1",
        )
    )
    directory.track("Added", "kept", age_s=40 * MINUTE_S)
    directory.track("Added", "bought", age_s=20 * MINUTE_S)
    directory.track("Paid", "paid", age_s=18 * MINUTE_S)
    directory.compute()
    reason = why(directory, "a").reason
    assert (reason.value, ids(reason)) == (True, ["kept"])
    assert reason.newest_other is not None
    assert reason.newest_other.id == "bought"


def test_an_event_that_follows_one_of_its_own_name_is_found(directory: EngageDir) -> None:
    """A message is put to the definition as the parent, and counts as a follower all the same."""
    directory.configure(
        audience(
            "A", "event('E').where(event('E').within(parent: 1 minute).count() >= 1).count() >= 1"
        )
    )
    directory.track("E", "first", age_s=30)
    directory.track("E", "second", age_s=10)
    directory.compute()
    assert ids(why(directory, "a").reason) == ["first"]


def test_a_trait_shows_the_values_it_is_made_of(directory: EngageDir) -> None:
    """A computed trait's own value, and the property of each message that has one."""
    directory.configure(
        traits=[{"name": "Spent", "definition": "event('E').sum(property('total'))"}]
    )
    directory.track("E", "one", properties={"total": 5}, age_s=2)
    directory.track("E", "none", properties={}, age_s=1)
    directory.track("E", "two", properties={"total": 2.5})
    directory.compute()
    found = why(directory, "spent")
    assert (found.kind, found.value, found.changes_at) == ("trait", 7.5, None)
    assert [(one.id, one.value) for one in found.reason.messages] == [("two", 2.5), ("one", 5)]


def test_a_session_is_the_newest_chain_while_it_goes_on(directory: EngageDir) -> None:
    """What came before the gap does not count; nothing does once the gap has passed."""
    directory.configure(
        traits=[{"name": "Now", "definition": "event('E').expires_after(30 minutes).count()"}]
    )
    for message_id, minutes in (("before", 100), ("first", 50), ("second", 25)):
        directory.track("E", message_id, age_s=minutes * MINUTE_S)
    directory.compute()
    found = why(directory, "now")
    assert (found.value, ids(found.reason)) == (2, ["second", "first"])
    assert found.reason.messages[0].until == iso_ms(NOW_MS + 5 * MINUTE_S * 1000)
    directory.clock.advance(5 * MINUTE_S)
    assert (why(directory, "now").value, ids(why(directory, "now").reason)) == (0, [])


def test_messages_of_profiles_that_were_merged_count(directory: EngageDir) -> None:
    """What somebody did before the login is theirs."""
    directory.configure(audience("A", "event('E').count() >= 1", "heap"))
    directory.identify("known", anonymousId=None)
    directory.track("E", "anonymous", userId=None, anonymousId="anon-1")
    directory.compute()
    assert why(directory, "a", "anonymous_id:anon-1").undeliverable
    directory.identify("login", anonymousId="anon-1")
    directory.compute()
    found = why(directory, "a")
    assert (found.value, ids(found.reason), found.undeliverable) == (True, ["anonymous"], "")
    assert found.identifiers == {"user_id": ["ann"], "anonymous_id": ["anon-1"]}


def test_what_was_told_has_its_outcome_and_heaps_answer(directory: EngageDir) -> None:
    """The message of the telling is found by its id, and its story is trace's."""
    directory.configure(audience("A", "event('E').count() >= 1", "heap"))
    directory.track("E", "m-1")
    directory.compute()
    (told,) = why(directory, "a").told
    assert (told.destination, told.user_id, told.told, told.times) == ("heap", "ann", True, 1)
    assert (told.at, told.outcome, told.why) == (iso_ms(NOW_MS), "pending", "")
    directory.settle(DELIVERED, 2, attempt_id=directory.attempt(2, answer=b'{"ok":1}'), cursor=2)
    (told,) = why(directory, "a").told
    assert (told.outcome, told.status, told.answer) == ("delivered", 200, '{"ok":1}')


def test_the_story_is_that_of_the_last_telling(directory: EngageDir) -> None:
    """The true was delivered an hour ago, the false waits."""
    directory.configure(audience("A", "event('E').within(1 hour).count() >= 1", "heap"))
    directory.track("E", "m-1")
    directory.compute()
    directory.settle(DELIVERED, 2, attempt_id=directory.attempt(2), cursor=2)
    directory.clock.advance(3600)
    directory.compute()
    (told,) = why(directory, "a").told
    assert (told.told, told.times, told.outcome, told.attempts) == (False, 2, "pending", 0)
    assert told.at == iso_ms(NOW_MS + 3_600_000)


def test_a_telling_that_is_not_in_the_log_waits_or_is_gone(directory: EngageDir) -> None:
    """It waits as long as the log begins before it."""
    directory.configure(audience("A", "event('E').count() >= 1", "heap"))
    directory.track("E", "m-1")
    directory.compute(hand_over=False)
    (told,) = why(directory, "a").told
    assert (told.outcome, told.sentence) == (
        "pending",
        "The message waits to be taken into the log.",
    )
    directory.clock.advance(3600)
    directory.track("E", "m-2", segment_messages=1)
    directory.retire(2)
    (told,) = why(directory, "a").told
    assert (told.outcome, told.sentence) == ("", "The log has let go of the message.")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"enabled": False}, "It is disabled", id="disabled audience"),
        pytest.param({"destinations": []}, "does not go to this destination", id="disconnected"),
    ],
)
def test_why_a_destination_does_not_know(
    directory: EngageDir, change: dict[str, Any], expected: str
) -> None:
    """The difference stands, with the reason."""
    one = audience("A", "event('E').within(1 hour).count() >= 1", "heap")
    directory.configure(one)
    directory.track("E", "m-1")
    directory.compute()
    directory.configure(one | change)
    directory.compute()
    directory.clock.advance(3600)
    (told,) = why(directory, "a").told
    assert (told.told, why(directory, "a").value) == (True, False)
    assert expected in told.why


def test_why_a_disabled_destination_was_not_told(directory: EngageDir) -> None:
    """It was never told, and says what has to happen."""
    directory.configure(
        audience("A", "event('E').count() >= 1", "heap"),
        destinations=[destination(enabled=False)],
    )
    directory.track("E", "m-1")
    directory.compute()
    (told,) = why(directory, "a").told
    assert (told.at, told.times) == (None, 0)
    assert told.why == (
        "The destination is disabled: the difference is told when it is enabled again."
    )


def test_why_nothing_is_told_while_a_computation_is_prepared(directory: EngageDir) -> None:
    """History is read first, so that nobody is told half of it."""
    directory.configure(audience("A", "event('E').count() >= 1", "heap"))
    directory.track("E", "m-1")
    directory.compute()
    later = audience("Later", "event('E').within(1 hour).count() = 0", "heap")
    directory.configure(audience("A", "event('E').count() >= 1", "heap"), later)
    directory.compute()
    found = why(directory, "later")
    (told,) = found.told
    assert (found.state, told.at) == ("preparing", None)
    assert told.why.startswith("It is still being prepared")


def test_nobody_is_told_false_who_was_never_told_true(directory: EngageDir) -> None:
    """A non-member's destination has nothing to know."""
    directory.configure(audience("A", "event('E').count() >= 1", "heap"))
    directory.identify("m-1")
    directory.compute()
    (told,) = why(directory, "a").told
    assert told.why.startswith("Nobody is told false")


def test_what_a_stopped_server_has_not_evaluated_is_told(directory: EngageDir) -> None:
    """The value is as of now; what was evaluated last is beside it, and how much is unread."""
    directory.configure(audience("A", "event('E').within(1 hour).count() >= 1", "heap"))
    directory.track("E", "m-1")
    directory.compute()
    directory.clock.advance(3600)
    directory.track("E", "unread")
    found = why(directory, "a")
    assert (found.value, found.computed, found.behind) == (False, True, 2)
