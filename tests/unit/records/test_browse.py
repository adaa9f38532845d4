"""Browsing: every message of the log once, newest first, a page at a time, however it is asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_dirs import NOW_MS, DataDir, destination, source
from headgate.delivery.facts import DELIVERED, DISCARDED
from headgate.eventlog.sealing import seal
from headgate.records.browse import Count, Page, Seen, Standing, browse, count, every
from headgate.records.criteria import Criteria, Unknown
from headgate.records.stored import Stored
from headgate.records.stretches import Range
from headgate.spec.timestamps import iso_ms

_WEBSITE = 9  # so many of the messages are of the website, which has both destinations


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    """Ten messages a second apart, three to a segment; the last one is of a source without destinations."""
    made = DataDir(tmp_path)
    made.use(
        sources=[source(), source("billing", type="server")],
        destinations=[destination(), destination("second")],
    )
    kinds = ["track", "page", "identify"]
    for n in range(1, _WEBSITE + 1):
        fields = {"event": f"Event {n % 2}"} if n % 3 == 1 else {"event": None}
        made.append(
            made.say(kinds[(n - 1) % 3], f"m-{n}", f"u{n % 2}", **fields), segment_messages=3
        )
        made.clock.advance(1)
    made.accept("m-10", source="billing", segment_messages=3)
    made.settle(DELIVERED, 1, 2, 3, 5, cursor=5)
    made.give_up(4)
    made.settle(DISCARDED, 1, 2, to=2, reason="unsupported_type", cursor=2)
    return made


@pytest.fixture
def stored(data_dir: DataDir) -> Iterator[Stored]:
    with data_dir.opened() as one:
        yield one


def never() -> bool:
    """Nothing is enough."""
    return False


def page(stored: Stored, limit: int = 100, before: int | None = None, **criteria: Any) -> Page:
    """A page."""
    return browse(stored, Criteria(**criteria), before, limit, never)


def numbers(found: Page) -> list[int]:
    """The numbers of its messages."""
    return [one.position for one in found.messages]


def test_a_message_is_told_once_with_all_of_its_outcomes(stored: Stored) -> None:
    """Which `find` tells once for each destination."""
    assert page(stored, ids=("m-1",)).messages == [
        Seen(
            position=1,
            received_at=iso_ms(NOW_MS),
            message_id="m-1",
            source="website",
            type="track",
            event="Event 1",
            user_id="u1",
            outcomes=[
                Standing("heap", "delivered", ""),
                Standing("second", "discarded", "unsupported_type"),
            ],
            raw=b'{"type":"track","messageId":"m-1","userId":"u1","event":"Event 1","properties":{"total":12.5}}',
        )
    ]


def test_a_message_without_a_destination_is_there_too(stored: Stored) -> None:
    """It is kept and sent nowhere."""
    (found,) = page(stored, sources=("billing",)).messages
    assert (found.message_id, found.outcomes) == ("m-10", [])


def test_pages_follow_each_other_from_the_newest_to_the_oldest(stored: Stored) -> None:
    """Over the bounds of segments, with nothing twice and nothing left out."""
    seen, before = [], None
    for _ in range(4):
        found = page(stored, 3, before)
        seen.append(numbers(found))
        before = found.before
    assert seen == [[10, 9, 8], [7, 6, 5], [4, 3, 2], [1]]
    assert before is None


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"types": ("page",)}, [8, 5, 2]),
        ({"types": ("page", "identify")}, [9, 8, 6, 5, 3, 2]),
        ({"users": ("u1",)}, [9, 7, 5, 3, 1]),
        ({"users": ("u1",), "types": ("track",)}, [7, 1]),
        ({"users": ("nobody",)}, []),
        ({"events": ("Event 0",)}, [4]),
        ({"events": ("Event 0", "Event 1")}, [7, 4, 1]),
        ({"events": ("Event",)}, []),
        ({"sources": ("website",)}, [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"destinations": ("second",)}, [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"outcomes": ("delivered",)}, [5, 3, 2, 1]),
        ({"outcomes": ("delivered",), "destinations": ("second",)}, []),
        ({"outcomes": ("failed",)}, [4]),
        ({"outcomes": ("failed", "delivered"), "users": ("u0",)}, [4, 2]),
        ({"reasons": ("unsupported_type",)}, [2, 1]),
        ({"outcomes": ("pending",), "destinations": ("heap",)}, [9, 8, 7, 6]),
        ({"outcomes": ("pending",), "destinations": ("second",)}, [9, 8, 7, 6, 5, 4, 3]),
        ({"outcomes": ("pending",)}, [9, 8, 7, 6, 5, 4, 3]),
        ({"received": Range(NOW_MS + 3_000, NOW_MS + 5_000)}, [5, 4]),
        ({"received": Range(None, NOW_MS + 1_000), "types": ("track",)}, [1]),
        ({"ids": ("m-3", "m-8", "unknown")}, [8, 3]),
        ({"ids": ("m-3",), "outcomes": ("failed",)}, []),
    ],
)
def test_messages_are_found_by_what_is_asked_for(
    stored: Stored, criteria: dict[str, Any], expected: list[int]
) -> None:
    """The list, the count and the export agree."""
    found = page(stored, **criteria)
    assert numbers(found) == expected
    assert (found.before, found.lost) == (None, 0)
    assert count(stored, Criteria(**criteria), None, never) == Count(len(expected), True)
    assert [one.position for one in every(stored, Criteria(**criteria))] == expected


def test_what_is_being_sent_again_is_pending(data_dir: DataDir) -> None:
    """Whatever it was before."""
    data_dir.replay("again", 4)
    with data_dir.opened() as stored:
        assert numbers(page(stored, outcomes=("failed",))) == []
        assert numbers(page(stored, outcomes=("pending",), destinations=("heap",))) == [9, 8, 7, 6, 4]  # fmt: skip


def test_an_event_is_found_however_its_name_is_written(data_dir: DataDir) -> None:
    """JSON may escape any character of it."""
    data_dir.accept_raw(b'{"type":"track","event":"\\u0045vent 0","messageId":"esc"}', "esc")
    with data_dir.opened() as stored:
        assert numbers(page(stored, events=("Event 0",))) == [11, 4]


def test_a_search_that_was_enough_says_how_far_it_came_and_goes_on(data_dir: DataDir) -> None:
    """Nothing is passed over between the parts."""
    with data_dir.opened() as stored:
        seen, before = [], None
        for _ in range(20):
            found = browse(stored, Criteria(events=("Event 1",)), before, 100, lambda: True)
            seen += numbers(found)
            assert not found.is_full
            before = found.before
            if before is None:
                break
            assert found.searched_to == iso_ms(NOW_MS + 1_000 * (before - 1))
    assert (seen, before) == ([7, 1], None)


def test_a_count_stops_when_it_is_high_enough(stored: Stored) -> None:
    """Then it says that there are more."""
    counted = count(stored, Criteria(types=("track",)), 1, never)
    assert (counted.messages > 1, counted.is_all) == (True, False)
    assert not count(stored, Criteria(), None, lambda: True).is_all


def test_what_cannot_be_read_is_passed_over_and_counted(data_dir: DataDir) -> None:
    """Around it everything is found."""
    data_dir.flip_a_bit(5)
    data_dir.lose_block(7)
    with data_dir.opened() as stored:
        found = page(stored)
    assert (numbers(found), found.lost) == ([10, 9, 8, 6, 4, 3, 2, 1], 2)


@pytest.mark.parametrize("criteria", [{}, {"users": ("u1",)}, {"ids": ("m-2", "m-9")}])
def test_sealed_segments_are_searched_alike(data_dir: DataDir, criteria: dict[str, Any]) -> None:
    """Their blocks are others, their messages the same."""
    with data_dir.opened() as stored:
        before = page(stored, **criteria)
    for first_seq in (1, 4, 7):
        seal(data_dir.path / "log", first_seq)
    with data_dir.opened() as stored:
        assert page(stored, **criteria) == before
    assert before.messages


def test_what_the_log_has_let_go_of_is_not_listed(data_dir: DataDir) -> None:
    """Whatever is recorded of it."""
    data_dir.retire(4)
    with data_dir.opened() as stored:
        assert numbers(page(stored)) == [10, 9, 8, 7, 6, 5, 4]
        found = page(stored, outcomes=("delivered",))
        assert (numbers(found), found.lost) == ([5], 0)


def test_without_a_log_there_is_nothing(tmp_path: Path) -> None:
    """Of a workspace that nothing was sent to."""
    empty = DataDir(tmp_path)
    empty.use()
    with empty.opened() as stored:
        assert page(stored) == Page([], None, False, None, 0)
        assert count(stored, Criteria(), None, never) == Count(0, True)


def test_a_name_that_is_unknown_is_refused_with_those_there_are(stored: Stored) -> None:
    """As by the commands."""
    with pytest.raises(Unknown, match="there is no source 'bilings'; there are: billing"):
        page(stored, sources=("bilings",))
