"""The plan of a replay: what goes again, what goes along so that the newest value lands last, what stays."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_dirs import NOW_MS, DataDir, destination
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED, REPLAYED, Facts, Outcome, Settled
from headgate.delivery.positions import unpack
from headgate.delivery.replays import decode, encode
from headgate.destinations.catalog import CATALOG
from headgate.records.criteria import Criteria
from headgate.records.plan import UNDONE_BY_SETTINGS, Planned, plan_of_log
from headgate.spec.reasons import REASONS

OFF: dict[str, Any] = {"integrations": {"Heap": False}}  # such a message is discarded
NOT_AGAIN = (None, (REPLAYED, ""))
OUTCOMES: tuple[tuple[Outcome, str], ...] = (
    (DELIVERED, ""),
    (FAILED, "refused"),
    (FAILED, "retry_window_over"),
    (DISCARDED, "consent"),
    (DISCARDED, "integrations_object"),
    (REPLAYED, ""),
)


class Message(NamedTuple):
    """A message of the log and the last fact about it."""

    seq: int
    type: str
    user: str
    is_off: bool
    outcome: tuple[Outcome, str] | None

    @property
    def writes_profile(self) -> bool:
        """Whether it would change a profile if it went today."""
        return self.type == "identify" and not self.is_off


def expected(messages: list[Message], criteria: Criteria) -> tuple[dict[str, set[int]], set[int]]:
    """The writes by user and the events of the plan, by the rules as they are written down."""
    asked = [one for one in messages if is_asked(one, criteria)]
    events = {one.seq for one in asked if not one.writes_profile}
    writes: dict[str, set[int]] = {}
    for user in {one.user for one in asked if one.writes_profile}:
        mine = {one.seq for one in asked if one.writes_profile and one.user == user}
        blocked_to = max(
            (
                one.seq
                for one in messages
                if one.user == user
                and one.type == "identify"
                and one.is_off
                and one.outcome == (DELIVERED, "")
            ),
            default=0,
        )
        going = {seq for seq in mine if seq > blocked_to}
        if going:
            writes[user] = going | {
                one.seq
                for one in messages
                if one.writes_profile and one.user == user and one.seq > min(going)
            }
    return writes, events


def is_asked(one: Message, criteria: Criteria) -> bool:
    """Whether the message itself is to go again."""
    if one.outcome in NOT_AGAIN or one.outcome is None:
        return False
    if criteria.users and one.user not in criteria.users:
        return False
    outcome, reason = one.outcome
    if criteria.outcomes:
        return criteria.fits(outcome, reason)
    if criteria.reasons:
        return outcome != DELIVERED and reason in criteria.reasons
    return outcome == FAILED or reason in UNDONE_BY_SETTINGS


@st.composite
def logs(draw: st.DrawFn) -> list[Message]:
    """A dozen messages of two users."""
    kinds = st.none() | st.sampled_from(OUTCOMES)
    return [
        Message(
            seq,
            draw(st.sampled_from(["identify", "identify", "track"])),
            draw(st.sampled_from(["ann", "bob"])),
            draw(st.sampled_from([False, False, False, True])),
            draw(kinds),
        )
        for seq in range(1, draw(st.integers(1, 12)) + 1)
    ]


@st.composite
def wishes(draw: st.DrawFn) -> Criteria:
    """What a replay may be asked for."""
    return Criteria(
        users=draw(st.sampled_from([(), ("ann",), ("bob",)])),
        outcomes=draw(st.sampled_from([(), (), (DELIVERED,), (FAILED, DISCARDED)])),
        reasons=draw(st.sampled_from([(), (), ("refused",), ("integrations_object",)])),
    )


@contextmanager
def written(messages: list[Message]) -> Iterator[DataDir]:
    """The messages as a data directory, in blocks of three."""
    with TemporaryDirectory() as path:
        data_dir = DataDir(Path(path))
        data_dir.use(destinations=[destination()])
        arrivals = [
            data_dir.say(one.type, f"m-{one.seq}", one.user, **(OFF if one.is_off else {}))
            for one in messages
        ]
        data_dir.append_blocks(*(arrivals[at : at + 3] for at in range(0, len(arrivals), 3)))
        data_dir.record(
            Facts(
                settled=[
                    Settled(1, *one.outcome, "", NOW_MS, [one.seq])
                    for one in messages
                    if one.outcome
                ],
                cursors={1: 0},
            )
        )
        yield data_dir


def planned(data_dir: DataDir, criteria: Criteria, **options: Any) -> Planned:
    """The plan of the directory."""
    with data_dir.opened() as stored:
        facts = stored.facts()
        assert facts is not None
        with closing(facts):
            return plan_of_log(stored, CATALOG, facts, criteria, **options)


def wanted(plan: Planned) -> tuple[dict[str, list[int]], list[int]]:
    """The writes by user and the events of the first destination."""
    if not plan.destinations:
        return {}, []
    found = plan.destinations[1]
    writes = {user: list(unpack(packed)) for user, packed in found.writes.items()}
    return writes, list(unpack(found.events))


@given(messages=logs(), asked=st.lists(wishes(), min_size=1, max_size=6))
@settings(deadline=None, max_examples=25)
def test_a_plan_is_what_the_rules_say(messages: list[Message], asked: list[Criteria]) -> None:
    """For any outcomes and criteria: what goes, what goes along, and the figures that tell of it."""
    with written(messages) as data_dir:
        for criteria in asked:
            plan = planned(data_dir, criteria)
            writes, events = wanted(plan)
            assert ({user: set(seqs) for user, seqs in writes.items()}, set(events)) == expected(
                messages, criteria
            )
            assert all(seqs == sorted(set(seqs)) for seqs in (*writes.values(), events))
            going = {*events, *(seq for seqs in writes.values() for seq in seqs)}
            pending = {one.seq for one in messages if one.outcome in NOT_AGAIN}
            assert plan.plan.messages == len(going - pending)
            assert plan.planned_to == len(messages)


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with one destination."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    return data_dir


def left_out(plan: Planned) -> dict[str, int]:
    """How many stay, by why."""
    return {one.why: one.messages for one in plan.plan.left_out}


def test_a_newer_value_goes_along_and_lands_last(stored: DataDir) -> None:
    """An old profile write that failed is followed by the newer ones that were delivered since."""
    stored.append(*(stored.say("identify", f"m-{n}", traits={"plan": n}) for n in (1, 2, 3)))
    stored.settle(DELIVERED, 2, 3)
    stored.give_up(1, cursor=3)
    plan = planned(stored, Criteria(reasons=("refused",)))
    assert wanted(plan) == ({"ann": [1, 2, 3]}, [])
    share = plan.plan.destinations[0]
    assert (share.messages, share.profile_writes, share.later_profile_writes) == (3, 3, 2)
    assert [(one.outcome, one.messages) for one in share.before] == [(DELIVERED, 2), (FAILED, 1)]


def test_what_would_be_discarded_again_is_told_before(stored: DataDir) -> None:
    """By today's settings, with the reason, and it goes with the events."""
    stored.append(stored.say("track", "a", "guest"), stored.say("track", "b"))
    stored.settle(DISCARDED, 1, 2, reason="junk_identity", cursor=2)
    plan = planned(stored, Criteria(reasons=("junk_identity",)))
    assert plan.plan.destinations[0].discarded_again == {"junk_identity": 1}
    assert wanted(plan) == ({}, [1, 2])


def test_what_stays_is_told_with_why(stored: DataDir) -> None:
    """Pending, delivered, discarded for good; each kind once, counted."""
    stored.accept("a", "b", "c", "d", "e", "f")
    stored.settle(DELIVERED, 1)
    stored.settle(DISCARDED, 2, reason="no_user_id")
    stored.give_up(3, 5, cursor=3)
    stored.replay("earlier", 5)
    plan = planned(stored, Criteria(users=("ann",)))
    assert wanted(plan) == ({}, [3])
    assert left_out(plan) == {DELIVERED: 1, DISCARDED: 1, "pending": 2, "replayed": 1}
    assert all(one.sentence for one in plan.plan.left_out)


def test_a_removed_destination_gets_nothing(stored: DataDir) -> None:
    """Its messages are counted as left out."""
    stored.accept("a")
    stored.settle(DISCARDED, 1, reason="destination_removed", cursor=1)
    stored.use(destinations=[destination("other")])
    plan = planned(stored, Criteria(outcomes=(DISCARDED,)))
    assert (plan.destinations, left_out(plan)) == ({}, {"removed": 1})


def test_an_old_value_stays_where_the_newer_one_would_not_go(stored: DataDir) -> None:
    """Consent taken back since: sending the old value again would undo the newer one."""
    stored.append(
        stored.say("identify", "old", traits={"plan": 1}),
        stored.say("identify", "new", traits={"plan": 2}, **OFF),
    )
    stored.settle(DELIVERED, 2)
    stored.give_up(1, cursor=2)
    plan = planned(stored, Criteria(reasons=("refused",)))
    assert (plan.plan.messages, left_out(plan)) == (0, {"newer_stays": 1})


def test_the_last_of_several_newer_values_decides_what_stays(stored: DataDir) -> None:
    """Whatever lies before it stays, whatever lies after it goes."""
    stored.append(
        stored.say("identify", "old", traits={"plan": 1}),
        stored.say("identify", "new", traits={"plan": 2}, **OFF),
        stored.say("identify", "older than the newest", traits={"plan": 3}),
        stored.say("identify", "newest", traits={"plan": 4}, **OFF),
        stored.say("identify", "newer still", traits={"plan": 5}),
    )
    stored.settle(DELIVERED, 2, 4)
    stored.give_up(1, 3, 5, cursor=5)
    plan = planned(stored, Criteria(reasons=("refused",)))
    assert (wanted(plan), left_out(plan)) == (({"ann": [5]}, []), {"newer_stays": 2})


@pytest.fixture
def past(stored: DataDir) -> DataDir:
    """The same with two dead letters that the log has let go, and a newer value that it holds."""
    for arrival in (
        stored.say("identify", "old", traits={"plan": 1}),
        stored.say("track", "event"),
        stored.say("identify", "new", traits={"plan": 2}),
    ):
        stored.append(arrival, segment_messages=1)
    stored.settle(DELIVERED, 3)
    stored.give_up(1, 2, cursor=3)
    stored.retire(3)
    return stored


def test_what_the_log_has_let_go_is_sent_from_its_dead_letter(past: DataDir) -> None:
    """Events are; a profile write is not, since nobody knows what came after it."""
    plan = planned(past, Criteria(reasons=("refused",)))
    assert (wanted(plan), left_out(plan)) == (({}, [2]), {"old_profile": 1})


def test_an_old_profile_write_goes_when_that_is_asked_for(past: DataDir) -> None:
    """And what the log holds of newer ones goes along."""
    plan = planned(past, Criteria(reasons=("refused",)), old_profiles=True)
    assert (wanted(plan), left_out(plan)) == (({"ann": [1, 3]}, [2]), {})


def test_the_time_counts_what_is_pending_before_and_the_hottest_user(tmp_path: Path) -> None:
    """Rows per minute, less what is left free for live messages; one user's own limit holds them up."""
    data_dir = DataDir(tmp_path)
    limits = {"eventsPerMinute": 100, "eventsPerMinutePerUser": 10}
    data_dir.use(destinations=[destination(settings={"appId": "1", "limits": limits})])
    data_dir.accept(*(f"m-{n}" for n in range(20)))
    data_dir.append(*(data_dir.say("track", f"n-{n}", f"user {n}") for n in range(300)))
    data_dir.settle(FAILED, *range(1, 21), reason="refused", cursor=20)
    share = planned(data_dir, Criteria(users=("ann",))).plan.destinations[0]
    assert (share.pending, share.eta_seconds) == (300, 200)  # 320 rows, 96 of them a minute
    data_dir.settle(DELIVERED, *range(21, 321), cursor=320)
    share = planned(data_dir, Criteria(users=("ann",))).plan.destinations[0]
    assert (share.pending, share.eta_seconds) == (0, 125)  # 20 rows of ann, 9.6 of them a minute


def test_destinations_of_one_app_share_their_time(tmp_path: Path) -> None:
    """What goes to one of them, or waits for it, is in the way of the other; without limits, nothing is."""
    data_dir = DataDir(tmp_path)
    settings = {"appId": "1", "limits": {"eventsPerMinute": 100, "eventsPerMinutePerUser": 0}}
    free = {"appId": "2", "limits": {"eventsPerMinute": 0, "eventsPerMinutePerUser": 0}}
    data_dir.use(
        destinations=[
            destination(settings=settings),
            destination("second", settings=settings),
            destination("free", settings=free),
        ]
    )
    data_dir.accept(*(f"m-{n}" for n in range(48)))
    for number in (1, 2, 3):
        data_dir.settle(FAILED, *range(1, 49), to=number, reason="refused", cursor=48)
    shares = planned(data_dir, Criteria(reasons=("refused",))).plan.destinations
    assert [one.eta_seconds for one in shares] == [60, 60, None]


def test_a_request_reads_back_as_it_was_planned(stored: DataDir) -> None:
    """What the worker gets is the plan."""
    stored.append(stored.say("identify", "a"), stored.say("track", "b"))
    stored.give_up(1, 2, cursor=2)
    request = planned(stored, Criteria(reasons=("refused",))).request("a name", NOW_MS)
    assert decode(encode(request)) == request
    assert (request.planned_to, request.criteria) == (2, "reason refused")


def test_a_message_that_cannot_be_mapped_is_told_as_such(
    stored: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the mapping ends the plan for no other message."""

    def fault(*_: object) -> None:
        raise ZeroDivisionError

    stored.accept("a")
    stored.give_up(1, cursor=1)
    monkeypatch.setattr("headgate.destinations.heap.destination.map_message", fault)
    share = planned(stored, Criteria(reasons=("refused",))).plan.destinations[0]
    assert share.discarded_again == {"mapping_failed": 1}


def test_the_reasons_that_settings_undo_are_reasons() -> None:
    """A misspelt one would never fit."""
    assert REASONS.keys() >= UNDONE_BY_SETTINGS


def test_an_erased_message_is_left_out(stored: DataDir) -> None:
    """There is nothing left of it that could be sent."""
    stub = msgspec.json.encode({"type": "track", "messageId": "a"})
    stored.accept_raw(stub, "a", erased=True)
    stored.settle(FAILED, 1, reason="refused", cursor=1)
    plan = planned(stored, Criteria(reasons=("refused",)))
    assert (plan.plan.messages, left_out(plan)) == (0, {"erased": 1})
