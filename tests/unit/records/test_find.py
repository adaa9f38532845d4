"""Find: the newest messages that fit, told in a line each."""

from pathlib import Path
from typing import Any

import pytest

from data_dirs import NOW_MS, DataDir, destination
from headgate.delivery.facts import DELIVERED, DISCARDED
from headgate.records.criteria import Criteria
from headgate.records.find import Finding, Found, find
from headgate.spec.timestamps import iso_ms


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """Five messages for two destinations, each in a segment of its own."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination(), destination("second")])
    for n in range(1, 6):
        data_dir.append(data_dir.say("track", f"m-{n}", event="Bought"), segment_messages=1)
        data_dir.clock.advance(1)
    data_dir.settle(DELIVERED, 2, 3, 4, cursor=0)
    data_dir.give_up(1)
    return data_dir


def found(data_dir: DataDir, limit: int = 20, **criteria: Any) -> Finding:
    """What is found."""
    with data_dir.opened() as opened:
        return find(opened, Criteria(**criteria), limit)


def test_a_message_is_told_with_what_people_know_it_by(stored: DataDir) -> None:
    """When, which, from where, what, whose, and what became of it."""
    assert found(stored, reasons=("refused",)).messages == [
        Found(
            received_at=iso_ms(NOW_MS),
            position=1,
            message_id="m-1",
            source="website",
            type="track",
            event="Bought",
            user_id="ann",
            destination="heap",
            outcome="failed",
            reason="refused",
        )
    ]


def test_the_newest_come_first_destination_by_destination(stored: DataDir) -> None:
    """As many as asked for; whether there are more is told."""
    result = found(stored, limit=3)
    assert [(one.message_id, one.destination) for one in result.messages] == [
        ("m-5", "heap"),
        ("m-5", "second"),
        ("m-4", "heap"),
    ]
    assert result.more
    assert not found(stored, limit=10).more


def test_what_the_log_has_let_go_comes_last(stored: DataDir) -> None:
    """As long as a dead letter keeps it."""
    stored.retire(5)
    result = found(stored, destinations=("heap",))
    assert [(one.message_id, one.outcome) for one in result.messages] == [
        ("m-5", "pending"),
        ("m-1", "failed"),
    ]


def test_an_id_is_found_without_looking_through_the_log(stored: DataDir) -> None:
    """A broken block elsewhere is not even met."""
    stored.flip_a_bit(4)
    result = found(stored, ids=("m-2",), destinations=("heap",))
    assert ([one.position for one in result.messages], result.lost) == ([2], 0)
    assert found(stored).lost == 1


def test_a_given_id_is_the_messages_id(stored: DataDir) -> None:
    """A message that came without one is known by the one that it was given."""
    stored.accept_raw(b'{"type":"track","userId":7,"event":5}', "unused", call_type="track")
    told = found(stored, limit=1).messages[0]
    assert (told.type, told.event, told.user_id, told.message_id) == ("track", "", "7", "")


def test_an_id_that_was_refused_at_the_door_is_told(stored: DataDir) -> None:
    """It is not in the log; of the ids asked for, no other is named."""
    stored.refuse("r-1", "no_ids")
    result = found(stored, ids=("r-1", "m-2"), destinations=("heap",))
    assert ([one.message_id for one in result.messages], result.refused) == (["m-2"], ["r-1"])
    assert found(stored, ids=("m-2",)).refused == []


def test_a_reason_of_doors_and_of_what_waited_can_be_asked_for(stored: DataDir) -> None:
    """Suppression discards messages of the log, too, whether or not it has yet."""
    assert found(stored, reasons=("suppressed",)).messages == []
    stored.settle(DISCARDED, 5, reason="suppressed")
    told = found(stored, reasons=("suppressed",)).messages
    assert [one.message_id for one in told] == ["m-5"]
