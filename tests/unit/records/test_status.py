"""The status: how everything is doing at a glance, the newest trouble first."""

from pathlib import Path

import pytest

import factories
from data_dirs import NOW_MS, DataDir, destination
from headgate.delivery.facts import DELIVERED, DISCARDED
from headgate.destinations.catalog import CATALOG
from headgate.records.damage import Known
from headgate.records.status import DestinationStatus, Status, status
from headgate.spec.timestamps import iso_ms


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with three destinations of one source, the last one disabled."""
    data_dir = DataDir(tmp_path)
    data_dir.use(
        destinations=[destination(), destination("second"), destination("off", enabled=False)]
    )
    return data_dir


def looked(data_dir: DataDir) -> Status:
    with data_dir.opened() as opened:
        return status(opened, CATALOG)


def of(found: Status, slug: str) -> DestinationStatus:
    return next(one for one in found.destinations if one.slug == slug)


def test_a_quiet_destination_is_delivering(stored: DataDir) -> None:
    """Also before anything was ever recorded."""
    found = looked(stored)
    assert [(one.slug, one.state, one.since) for one in found.destinations] == [
        ("heap", "delivering", None),
        ("second", "delivering", None),
        ("off", "disabled", None),
    ]


def test_trouble_is_told_with_since_when_the_newest_first(stored: DataDir) -> None:
    """What is delivering again has no trouble, and a disabled one none that matters."""
    stored.stand("refusing", "answered 400: unknown app")
    stored.clock.advance(60)
    stored.stand("failing", "no answer within 10 s", to=2)
    stored.stand("failing", "no answer within 10 s", to=3)
    found = looked(stored)
    assert [(one.slug, one.state, one.since, one.trouble) for one in found.destinations] == [
        ("second", "failing", iso_ms(NOW_MS + 60_000), "no answer within 10 s"),
        ("heap", "refusing", iso_ms(NOW_MS), "answered 400: unknown app"),
        ("off", "disabled", None, ""),
    ]
    stored.stand("delivering", "", to=2)
    assert of(looked(stored), "second").since is None


def test_what_stands_is_counted_and_what_is_replayed_is_not(stored: DataDir) -> None:
    """Outcomes as they are now; what a replay took back counts as still to be sent."""
    stored.accept(*"abcdef")
    stored.settle(DELIVERED, 1, 2, 3)
    stored.settle(DISCARDED, 4, reason="consent")
    stored.give_up(5, cursor=5)
    stored.replay("again", 1, 5, settled=1)
    one = of(looked(stored), "heap")
    assert (one.delivered, one.discarded, one.failed) == (2, 1, 0)
    assert (one.pending, one.replaying, one.cursor) == (1, 1, 5)


def test_a_message_that_is_replayed_above_the_cursor_counts_once(stored: DataDir) -> None:
    """It is still to be sent again, and not pending besides."""
    stored.accept(*"abc")
    stored.settle(DELIVERED, 2, cursor=0)
    stored.replay("again", 2)
    one = of(looked(stored), "heap")
    assert (one.pending, one.replaying) == (2, 1)


def test_replays_are_there_as_long_as_they_go_on(stored: DataDir) -> None:
    """Under way, not ended."""
    stored.accept("a", "b")
    stored.settle(DELIVERED, 1, 2, cursor=2)
    stored.replay("first", 1, settled=1)
    stored.replay("second", 2)
    assert [one.name for one in looked(stored).replays] == ["second"]


def test_draining_is_told_under_the_destinations_limits(tmp_path: Path) -> None:
    """Heap's 15,000 rows a minute, 500 in two seconds; nothing pending takes no time."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    assert of(looked(data_dir), "heap").drain_seconds == 0
    data_dir.append(*(data_dir.say("track", f"m-{n}", f"user {n}") for n in range(500)))
    assert of(looked(data_dir), "heap").drain_seconds == 2


def test_destinations_of_one_app_drain_together_under_the_lowest_limit(tmp_path: Path) -> None:
    """They share Heap's limits, whichever is asked about; another app has limits of its own."""
    data_dir = DataDir(tmp_path)
    slow = {"appId": "1535634150", "limits": {"eventsPerMinute": 6_000}}
    other = {"appId": "99", "limits": {"eventsPerMinute": 6_000}}
    data_dir.use(
        destinations=[
            destination(settings=slow),
            destination("second"),
            destination("other", settings=other),
        ]
    )
    data_dir.append(*(data_dir.say("track", f"m-{n}", f"user {n}") for n in range(500)))
    data_dir.settle(DELIVERED, *range(1, 401), to=2)
    data_dir.replay("again", *range(1, 101), to=2)
    found = looked(data_dir)
    drains = {one.slug: one.drain_seconds for one in found.destinations}
    assert drains == {"heap": 7, "second": 7, "other": 5}


def test_damage_that_is_known_is_told_without_looking_for_it(stored: DataDir) -> None:
    """What delivery could not read, once for all destinations, and a missing end."""
    for name in "abc":
        stored.accept(name, segment_messages=1)
    stored.settle("failed", 1, 2, reason="unreadable_message", detail="block 1 to 2 is broken")
    stored.settle(
        "failed", 1, 2, reason="unreadable_message", detail="block 1 to 2 is broken", to=2
    )
    assert looked(stored).damage == [Known(1, 2, "block 1 to 2 is broken")]
    stored.pass_by(5)
    assert looked(stored).damage[1:] == [Known(4, 5, "the end of the log is missing")]


def test_a_removed_destination_is_shown_while_something_is_known_of_it(stored: DataDir) -> None:
    """Its figures stay, without trouble or time."""
    stored.accept("a")
    stored.settle(DELIVERED, 1, cursor=1)
    stored.stand("failing", "no answer")
    stored.settle(DELIVERED, 1, to=3, cursor=1)
    stored.use(destinations=[destination("second"), destination("brief")])
    stored.use(destinations=[destination("second")])
    one = of(looked(stored), "heap")
    assert (one.state, one.delivered, one.trouble, one.drain_seconds) == ("removed", 1, "", None)
    assert {each.slug for each in looked(stored).destinations} == {"second", "heap", "off"}


def test_the_log_is_as_old_as_its_first_message(stored: DataDir) -> None:
    """And as new as its last, however many requests one block holds."""
    minutes = (0, 1, 2)
    stored.append(
        *(factories.arrival(f"m-{n}", received_at_ms=NOW_MS + 60_000 * n) for n in minutes)
    )
    log = looked(stored).log
    assert (log.since, log.until) == (iso_ms(NOW_MS), iso_ms(NOW_MS + 120_000))


def test_dead_letters_that_are_gone_are_not_counted(stored: DataDir) -> None:
    """A failed message whose user was deleted has failed still."""
    stored.accept("a", "b")
    stored.give_up(1)
    stored.settle("failed", 2, reason="refused", cursor=2)
    one = of(looked(stored), "heap")
    assert (one.failed, one.dead_letters) == (2, 1)
