"""What Engage said of a user right after a message: of that user, behind it, and not much later."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from data_dirs import NOW_MS, DataDir, destination
from headgate.records.following import WITHIN_MS, Said, said_after
from headgate.spec.timestamps import iso_ms


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    """Ann's message is number 2; before it she was told of already."""
    made = DataDir(tmp_path)
    made.use(destinations=[destination()])
    tell(made, "before", "ann")
    made.accept("m-2")
    return made


def tell(data_dir: DataDir, id_: str, user: str, value: Any = True, **fields: Any) -> None:
    """Engage says that somebody is a buyer."""
    personas = {"computation_class": "audience", "computation_key": "buyers"}
    message = {
        "type": "identify",
        "messageId": id_,
        "userId": user,
        "traits": {"buyers": value},
        "context": {"personas": personas},
    }
    raw = msgspec.json.encode(message | fields)
    data_dir.accept_raw(raw, id_, source="engage/heap")


def ids(data_dir: DataDir) -> list[str]:
    """What was said of ann after her message."""
    with data_dir.opened() as stored:
        return [one.message_id for one in said_after(stored, 2, NOW_MS, "ann")]


def test_what_was_said_is_told_with_its_value(data_dir: DataDir) -> None:
    """And where that message is."""
    data_dir.clock.advance(1)
    tell(data_dir, "told", "ann")
    with data_dir.opened() as stored:
        assert said_after(stored, 2, NOW_MS, "ann") == [
            Said(iso_ms(NOW_MS + 1_000), "heap", "buyers", True, True, "told", 3)
        ]


def test_others_and_other_times_are_passed_over(data_dir: DataDir) -> None:
    """Also what the user sent themself, and what Engage never writes."""
    tell(data_dir, "of bob", "bob")
    data_dir.accept("m-4")
    tell(data_dir, "strange", "ann", context=None)
    data_dir.clock.advance(WITHIN_MS / 1000)
    tell(data_dir, "in time", "ann", value=None)
    data_dir.clock.advance(1)
    tell(data_dir, "later", "ann")
    assert ids(data_dir) == ["in time"]


def test_of_a_message_without_a_user_nothing_was_said(data_dir: DataDir) -> None:
    """Engage speaks of users alone."""
    tell(data_dir, "told", "")
    with data_dir.opened() as stored:
        assert said_after(stored, 2, NOW_MS, "") == []


def test_damage_ends_it(data_dir: DataDir) -> None:
    """What was found before stays found."""
    for n in range(3):
        tell(data_dir, f"told {n}", "ann")
    data_dir.flip_a_bit(4)
    assert ids(data_dir) == ["told 0"]


def test_no_more_than_twenty_are_told(data_dir: DataDir) -> None:
    """A page is no list."""
    for n in range(25):
        tell(data_dir, f"told {n}", "ann")
    assert len(ids(data_dir)) == 20
