"""The trace: one message's story, put together from everything that was recorded of it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

import factories
from data_dirs import NOW_MS, DataDir, destination, source
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED
from headgate.destinations.catalog import CATALOG
from headgate.eventlog.block import id_hash
from headgate.eventlog.ids import IdRun, ids_path, write_ids
from headgate.records.trace import Story, Trace, trace
from headgate.spec.timestamps import iso_ms


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with one source and one destination (id 1)."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    return data_dir


def traced(
    data_dir: DataDir,
    message_id: str = "m-1",
    source_slug: str | None = None,
    position: int | None = None,
) -> Trace:
    with data_dir.opened() as opened:
        return trace(opened, CATALOG, message_id, source=source_slug, position=position)


def story(data_dir: DataDir, message_id: str = "m-1", source_slug: str | None = None) -> Story:
    found = traced(data_dir, message_id, source_slug).story
    assert found is not None
    return found


def happened(told: Story) -> list[tuple[str, str]]:
    return [(event.what, event.destination) for event in told.timeline]


def test_a_delivered_message_is_told_from_door_to_answer(stored: DataDir) -> None:
    """Arrival, the request as sent, the answer, the outcome, in time order."""
    stored.accept("other", "m-1", ip="10.0.0.7")
    number = stored.attempt(1, 2, request=b'{"events":["whole"]}', answer=b'{"ok":1}')
    stored.settle(DELIVERED, 1, 2, attempt_id=number, cursor=2)
    told = story(stored)
    assert (told.message_id, told.source, told.others) == ("m-1", "website", [])
    assert told.arrival.position == 2
    assert told.arrival.received_at == iso_ms(NOW_MS)
    assert (told.arrival.ip, told.arrival.type, told.arrival.batched) == ("10.0.0.7", "track", True)
    attempt = told.attempts[0]
    assert (attempt.status, attempt.duration_ms) == (200, 25)
    assert (attempt.request, attempt.answer) == ('{"events":["whole"]}', '{"ok":1}')
    assert (told.outcomes[0].outcome, told.outcomes[0].attempt) == (DELIVERED, number)
    assert happened(told) == [("arrived", ""), ("attempted", "heap"), ("delivered", "heap")]
    times = [event.at for event in told.timeline]
    assert times == sorted(times, key=str)


def test_the_arrival_shows_what_came_and_what_was_made_of_it(stored: DataDir) -> None:
    """The bytes as they came, the batch's own fields, what was mended or could not be read."""
    raw = b'{"type":"track","userId":7,"messageId":"m-1","event":"E","timestamp":"soon"}'
    stored.accept_raw(
        raw, "m-1", context=b'{"library":{"name":"x"}}', repairs=("mended",), sent_at="2023"
    )
    arrival = story(stored).arrival
    assert arrival.raw == raw.decode()
    assert arrival.context == {"library": {"name": "x"}}
    assert (arrival.sent_at, arrival.repairs) == ("2023", ["mended"])
    assert [warning.split(" ")[0] for warning in arrival.warnings] == ["timestamp", "sentAt"]
    assert arrival.message is not None
    assert (arrival.message["userId"], arrival.message["context"]) == ("7", arrival.context)
    assert "warnings" not in arrival.message


def test_a_discarded_message_says_why_and_what_to_do(stored: DataDir) -> None:
    """The recorded reason stands, with its sentence, also when today's settings would send it."""
    stored.accept("m-1")
    stored.settle(DISCARDED, 1, reason="no_user_id", detail="a detail", cursor=1)
    told = story(stored)
    decision = told.decisions[0]
    assert (decision.decision, decision.reason, decision.recorded) == (
        "discard",
        "no_user_id",
        True,
    )
    assert decision.sentence.startswith("The message has no userId")
    assert decision.remedy
    assert (told.outcomes[0].outcome, told.outcomes[0].detail) == (DISCARDED, "a detail")
    assert told.outcomes[0].sentence == decision.sentence


def test_a_failed_message_keeps_every_attempt_and_the_last_answer(stored: DataDir) -> None:
    """Each request is there, in order, also those without an answer."""
    stored.accept("m-1")
    stored.attempt(1, status=0, error="no answer within 10 s", answer=b"")
    stored.clock.advance(5)
    last = stored.attempt(1, status=400, answer=b"bad \xff row")
    stored.settle(FAILED, 1, reason="refused", detail="answered 400: bad row", attempt_id=last)
    told = story(stored)
    assert [(one.status, one.error) for one in told.attempts] == [
        (0, "no answer within 10 s"),
        (400, ""),
    ]
    assert told.attempts[1].answer == "bad \\xff row"
    assert (told.outcomes[0].outcome, told.outcomes[0].reason) == (FAILED, "refused")
    assert told.outcomes[0].attempts == 2


def test_a_message_that_waits_for_retry_says_when(stored: DataDir) -> None:
    """Pending, with the number of attempts and the time of the next one."""
    stored.accept("m-1")
    stored.attempt(1, status=503)
    stored.wait(1, attempts=1, due_at_ms=NOW_MS + 60_000)
    outcome = story(stored).outcomes[0]
    assert (outcome.outcome, outcome.attempts) == ("pending", 1)
    assert outcome.next_attempt_at == iso_ms(NOW_MS + 60_000)


def test_a_message_that_nobody_looked_at_yet_is_pending(stored: DataDir) -> None:
    """Also where delivery never ran; what today's settings would do is told as such."""
    stored.append(factories.arrival("m-1", user=""))
    told = story(stored)
    assert (told.outcomes[0].outcome, told.outcomes[0].next_attempt_at) == ("pending", None)
    assert (told.decisions[0].recorded, told.decisions[0].reason) == (False, "no_user_id")
    assert happened(told)[-1] == ("pending", "heap")


def test_a_lost_message_is_told_as_broken(stored: DataDir) -> None:
    """The cursor has passed it and no outcome is there: the trace does not call that pending."""
    stored.accept("m-1")
    stored.pass_by(1)
    assert story(stored).outcomes[0].outcome == "broken"


def test_a_replayed_message_shows_both_outcomes_and_ends_with_the_last(stored: DataDir) -> None:
    """History stays in the timeline; the outcome is the one that holds."""
    stored.accept("m-1")
    stored.settle(FAILED, 1, reason="refused", cursor=1)
    stored.clock.advance(3600)
    stored.settle(DELIVERED, 1, attempt_id=stored.attempt(1))
    told = story(stored)
    assert [one.outcome for one in told.outcomes] == [DELIVERED]
    assert [what for what, _ in happened(told)] == ["arrived", "failed", "attempted", "delivered"]


def test_mapping_is_shown_with_its_notes(stored: DataDir) -> None:
    """What today's settings make of the message, and what mapping had to leave out."""
    stored.accept_raw(
        b'{"type":"track","userId":"ann","messageId":"m-1","event":"E","properties":{"n":null}}',
        "m-1",
    )
    decision = story(stored).decisions[0]
    assert (decision.decision, decision.recorded) == ("send", False)
    assert decision.notes == ["n: dropped, it is null"]
    mapped = msgspec.json.decode(msgspec.json.encode(decision.mapped))
    assert (mapped["identity"], mapped["event"]) == ("ann", "E")


def test_each_destination_of_the_time_has_its_own_decision(tmp_path: Path) -> None:
    """Those connected when it was accepted, the removed one included; a newer one is not asked."""
    data_dir = DataDir(tmp_path)
    version = data_dir.use(destinations=[destination(), destination("second")])
    data_dir.accept("m-1", workspace_version=version)
    data_dir.use(destinations=[destination("second"), destination("newer")])
    data_dir.settle(DELIVERED, 1, to=2)
    told = story(data_dir)
    assert [(one.destination, one.reason) for one in told.decisions] == [
        ("heap", "destination_removed"),
        ("second", ""),
    ]
    assert [(one.destination, one.outcome) for one in told.outcomes] == [
        ("heap", "pending"),
        ("second", DELIVERED),
    ]


def test_one_id_at_several_sources_is_several_stories(tmp_path: Path) -> None:
    """In the order of their arrival; a source's name narrows it, also a source that is gone."""
    data_dir = DataDir(tmp_path)
    version = data_dir.use(sources=[source("gone"), source()], destinations=[destination()])
    data_dir.accept("m-1", source="gone", workspace_version=version)
    data_dir.use(destinations=[destination()])
    data_dir.accept("m-1", workspace_version=2)
    told = story(data_dir)
    assert [told.source, *(other.source for other in told.others)] == ["gone", "website"]
    assert story(data_dir, source_slug="website").arrival.position == 2
    assert traced(data_dir, source_slug="shop").story is None


def test_a_refused_message_has_a_story_too(stored: DataDir) -> None:
    """One outcome, discarded at the door, with the reason and what its sender was answered."""
    stored.refuse("m-1", "unknown_write_key", source="", body=b'{"type":"track"}')
    told = story(stored)
    assert (told.source, told.arrival.position, told.arrival.raw) == ("", None, '{"type":"track"}')
    assert (told.arrival.type, told.arrival.answered) == ("track", 200)
    assert [(one.destination, one.outcome, one.reason) for one in told.outcomes] == [
        ("-", DISCARDED, "unknown_write_key")
    ]
    assert told.decisions[0].sentence == "No source has this write key."


def test_an_accepted_message_comes_before_a_refused_one(stored: DataDir) -> None:
    """The same id refused first and accepted later is mostly asked about for the second."""
    stored.refuse("m-1", "source_disabled")
    stored.accept("m-1")
    told = story(stored)
    assert told.arrival.position == 1
    assert [other.outcomes[0].reason for other in told.others] == ["source_disabled"]


def test_a_position_tells_messages_of_one_id_apart(stored: DataDir) -> None:
    """The number in the log, 0 for what was refused; where there is another message, there is none."""
    stored.accept("m-1")
    stored.accept("m-2")
    stored.accept("m-1", source="other")
    stored.refuse("m-1", "no_ids")
    stored.use(sources=[source(), source("other")], destinations=[destination()])
    places = []
    for position in (1, 2, 3, 0, 4):
        told = traced(stored, position=position).story
        others = [] if told is None else told.others
        places.append(None if told is None else told.arrival.position)
        assert others == []
    assert places == [1, None, 3, None, None]
    refused = traced(stored, position=0).story
    assert refused is not None and refused.outcomes[0].reason == "no_ids"
    assert traced(stored, position=4).story is None


def test_a_message_whose_id_outlived_it_is_gone(stored: DataDir) -> None:
    """Rather than unknown, as long as dedupe knows the id."""
    stored.accept("m-1")
    stored.accept("m-2", segment_messages=1)
    run = IdRun.of(np.array([id_hash("website", "m-1")], np.uint64), np.array([1]), NOW_MS)
    write_ids(ids_path(stored.path / "log", 1), run)
    assert not traced(stored).is_gone
    stored.retire(2)
    gone, unknown = traced(stored), traced(stored, "m-0")
    assert (gone.story, gone.is_gone) == (None, True)
    assert (unknown.story, unknown.is_gone) == (None, False)


def test_a_given_id_finds_its_message(stored: DataDir) -> None:
    """A message that came without an id is known by the one that it was given."""
    stored.append(factories.arrival("given-1", given=[0]))
    assert story(stored, "given-1").arrival.message is not None


def test_an_unknown_id_says_how_much_was_looked_through(stored: DataDir) -> None:
    """So that nobody wonders whether the right directory was asked."""
    stored.accept("a", "b")
    found = traced(stored, "nobody")
    assert (found.story, found.looked_through, found.since) == (None, 2, iso_ms(NOW_MS))


def test_damage_elsewhere_does_not_hide_a_message(stored: DataDir) -> None:
    """A broken block costs its own messages their trace, nobody else."""
    stored.accept("a")
    stored.accept("m-1")
    stored.flip_a_bit(1)
    assert traced(stored).story is not None


def test_a_message_in_a_broken_block_is_not_simply_unknown(stored: DataDir) -> None:
    """Its id is still found, so the answer is that the log is damaged."""
    stored.accept("m-1")
    stored.flip_a_bit(1)
    found = traced(stored)
    assert (found.story, found.damage) == (None, 1)


def test_damage_that_delivery_has_met_is_told(stored: DataDir) -> None:
    """The message may have been there."""
    stored.accept("a")
    stored.settle(FAILED, 1, reason="unreadable_message", detail="block 1 to 1 is broken")
    assert traced(stored, "nobody").damage == 1


def test_a_message_that_is_sent_again_is_pending(stored: DataDir) -> None:
    """The timeline says which replay asked for it; the earlier outcome stays in it."""
    stored.accept("m-1")
    stored.attempt(1, status=400)
    stored.give_up(1, cursor=1)
    stored.replay("20231114-221320000-ab", 1)
    told = story(stored)
    assert [what for what, _ in happened(told)] == [
        "arrived",
        "attempted",
        "failed",
        "replayed",
        "pending",
    ]
    assert told.timeline[-2].text == "asked to be sent again by replay 20231114-221320000-ab"
    outcome = told.outcomes[0]
    assert (outcome.outcome, outcome.dead_letter) == ("pending", True)
    assert outcome.sentence.startswith("Replay 20231114-221320000-ab sends it again")


def test_a_message_of_a_replay_that_waits_for_retry_says_when(stored: DataDir) -> None:
    """It has been tried since it was asked for."""
    stored.accept("m-1")
    stored.settle(DELIVERED, 1, cursor=0)
    stored.replay("again", 1)
    stored.clock.advance(60)
    stored.wait(1, attempts=1, due_at_ms=stored.clock.now_ms() + 1_000)
    outcome = story(stored).outcomes[0]
    assert (outcome.outcome, outcome.attempts) == ("pending", 1)
    assert outcome.next_attempt_at == iso_ms(stored.clock.now_ms() + 1_000)


def test_attempts_are_numbered_for_the_message(stored: DataDir) -> None:
    """From 1, destination by destination; the number among all requests is kept beside it."""
    stored.accept("other", "m-1")
    stored.attempt(1)
    stored.attempt(2, status=503)
    last = stored.attempt(2)
    stored.settle(DELIVERED, 2, attempt_id=last)
    told = story(stored)
    assert [(one.number, one.id) for one in told.attempts] == [(1, 2), (2, 3)]
    assert told.outcomes[0].attempt == last
    assert told.timeline[-1].text == "by attempt 2"


def test_an_erased_message_has_a_story_without_content(stored: DataDir) -> None:
    """What was recorded stays; nothing is mapped from what is left."""
    stored.accept_raw(b'{"type":"track","messageId":"m-1"}', "m-1", erased=True)
    stored.settle(DELIVERED, 1, cursor=1)
    told = story(stored)
    assert (told.arrival.erased, told.arrival.message, told.arrival.type) == (True, None, "track")
    assert told.timeline[0].text.endswith("the content was erased at the user's request")
    assert (told.decisions[0].decision, told.decisions[0].mapped) == ("send", None)
    assert told.outcomes[0].outcome == DELIVERED


def test_a_pending_message_that_was_erased_will_be_discarded(stored: DataDir) -> None:
    """By today's word; the record follows."""
    stored.accept_raw(b'{"type":"track","messageId":"m-1"}', "m-1", erased=True)
    decision = story(stored).decisions[0]
    assert (decision.decision, decision.reason, decision.recorded) == ("discard", "erased", False)


def test_a_dead_letter_tells_what_the_log_has_let_go(stored: DataDir) -> None:
    """The whole story from what is left: the message, why it failed, what today's settings would do."""
    stored.accept("m-1", segment_messages=1, ip="10.0.0.7")
    stored.accept("later", segment_messages=1)
    stored.give_up(1)
    stored.settle(DELIVERED, 2, cursor=2)
    stored.forget_before(2)
    stored.retire(2)
    told = story(stored)
    assert (told.arrival.in_log, told.arrival.ip, told.arrival.position) == (False, "10.0.0.7", 1)
    outcome = told.outcomes[0]
    assert (outcome.outcome, outcome.reason, outcome.dead_letter) == (FAILED, "refused", True)
    assert told.decisions[0].mapped is not None
    assert happened(told) == [("arrived", ""), ("failed", "heap")]


def test_a_story_reads_the_same_as_json(stored: DataDir) -> None:
    """One object with arrival, decisions, attempts, outcomes, timeline and others."""
    stored.accept("m-1")
    stored.settle(DELIVERED, 1, attempt_id=stored.attempt(1), cursor=1)
    told = msgspec.json.decode(msgspec.json.encode(story(stored)))
    assert set(told) == {
        "messageId",
        "source",
        "arrival",
        "decisions",
        "attempts",
        "outcomes",
        "timeline",
        "others",
    }
    assert set(told["timeline"][0]) == {"at", "what", "destination", "text"}


def test_a_dead_letter_that_was_erased_is_not_recommended_for_replay(stored: DataDir) -> None:
    """There is nothing left that could be sent."""
    stored.accept_raw(b'{"type":"track","messageId":"m-1"}', "m-1", erased=True)
    stored.settle(FAILED, 1, reason="refused", cursor=1)
    outcome = story(stored).outcomes[0]
    assert (outcome.dead_letter, outcome.sentence[:12]) == (False, "Heap answere")
    assert outcome.remedy.startswith("Nothing to do: the user was deleted")


def test_an_attempt_names_the_messages_own_part_of_the_request(stored: DataDir) -> None:
    """As it maps today; nothing when it was sent otherwise."""
    stored.accept("m-1", "m-2")
    row = bytes(story(stored).decisions[0].mapped)
    stored.attempt(1, 2, request=b'{"events":[%b,{"of":"m-2"}]}' % row)
    stored.attempt(1, 2, request=b'{"events":[{"by":"other settings"}]}')
    assert [one.row for one in story(stored).attempts] == [row.decode(), ""]


def test_the_first_message_of_a_block_says_since_when_the_log_is(stored: DataDir) -> None:
    """A block that was written anew holds requests of many times."""
    stored.append(
        *(factories.arrival(f"m-{n}", received_at_ms=NOW_MS + 60_000 * n) for n in range(3))
    )
    assert traced(stored).since == iso_ms(NOW_MS)
