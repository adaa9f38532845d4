"""The calls of one source: newest first page by page, as they come, by what they say and what became of them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from data_dirs import NOW_MS, DataDir, destination, source
from headgate.records.arrivals import Arrivals, Call, Wanted


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    """With a website that goes to two destinations, and a server that goes nowhere."""
    one = DataDir(tmp_path)
    one.use(
        sources=[source(), source("billing", type="server")],
        destinations=[destination(), destination("staging")],
    )
    return one


def calls_of(data_dir: DataDir, wanted: Wanted = Wanted(), of: str = "website") -> Iterator[Call]:  # noqa: B008
    """Every call that fits, page by page."""
    with data_dir.opened() as stored, closing(Arrivals(stored, of, wanted)) as arrivals:
        at = arrivals.last_seq() + 1
        while at:
            found = arrivals.before(at, 3)
            yield from found.calls
            at = found.next_seq


def ids(calls: Iterator[Call]) -> list[str]:
    return [call.message_id for call in calls]


def test_pages_go_from_the_newest_to_the_oldest(data_dir: DataDir) -> None:
    """Over blocks and segments, and nothing of another source."""
    for number in range(300):
        data_dir.accept(
            f"m{number}", segment_messages=64, source=["website", "billing"][number % 2]
        )
    assert ids(calls_of(data_dir)) == [f"m{number}" for number in range(298, -1, -2)]
    assert len(ids(calls_of(data_dir, of="billing"))) == 150
    assert ids(calls_of(data_dir, of="nobody")) == []


def test_of_a_large_request_a_page_takes_a_part(data_dir: DataDir) -> None:
    """The next page goes on in the middle of it."""
    data_dir.accept(*(f"m{number}" for number in range(8)))
    assert ids(calls_of(data_dir)) == [f"m{number}" for number in range(7, -1, -1)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", "trap pag idn trk"),
        ("event:Order*", "trk"),
        ("event:order*", ""),
        ("event:Order", ""),
        ('event:"Order Completed"', "trk"),
        ("order", "trk"),
        ("user:u1", "trk"),
        ("user:u*", "idn trk"),
        ("user:u1 event:Order*", "trk"),
        ("user:u77 event:Order*", ""),
        ("trap", "trap"),
        ("Pricing", "pag"),
        ("event:.*", "trap"),
        ("event:", "trap pag idn trk"),
    ],
)
def test_words_say_which_calls(data_dir: DataDir, words: str, found: str) -> None:
    """Whole names with a kind, parts without one; all of them have to be there."""
    data_dir.append(data_dir.say("track", "trk", "u1", event="Order Completed"))
    data_dir.append(data_dir.say("identify", "idn", "u77", event=None))
    data_dir.append(data_dir.say("page", "pag", "ann", event=None, name="Pricing"))
    data_dir.append(data_dir.say("track", "trap", "ann", event=".*"))
    assert ids(calls_of(data_dir, Wanted(words))) == found.split()


def test_a_type_says_which_calls(data_dir: DataDir) -> None:
    """As the message's column has it."""
    data_dir.append(data_dir.say("identify", "one"), data_dir.say("track", "two"))
    assert ids(calls_of(data_dir, Wanted(type="identify"))) == ["one"]
    assert ids(calls_of(data_dir, Wanted(type="group"))) == []


def test_what_became_of_a_call_is_told_for_each_destination(data_dir: DataDir) -> None:
    """Pending where nothing is recorded; nothing at all where nobody is connected."""
    data_dir.accept("m1", "m2")
    data_dir.accept("m3", source="billing")
    data_dir.settle("delivered", 1, cursor=1)
    data_dir.settle("failed", 1, to=2, reason="refused")
    second, first = calls_of(data_dir)
    assert first.fates == (("heap", "delivered", ""), ("staging", "failed", "refused"))
    assert second.fates == (("heap", "pending", ""), ("staging", "pending", ""))
    assert [first.is_settled, second.is_settled] == [True, False]
    (third,) = calls_of(data_dir, of="billing")
    assert third.fates == ()
    assert third.is_settled
    assert ids(calls_of(data_dir, Wanted(outcome="failed"))) == ["m1"]
    assert ids(calls_of(data_dir, Wanted(outcome="pending"))) == ["m2"]


def test_news_are_counted_whole_and_told_in_part(data_dir: DataDir) -> None:
    """Every call that arrived and every one that fits is counted; the newest of these are told, oldest first."""
    with (
        data_dir.opened() as stored,
        closing(Arrivals(stored, "website", Wanted("user:ann"))) as arrivals,
    ):
        data_dir.accept(*(f"m{number}" for number in range(10)))
        data_dir.append(data_dir.say("track", "other", "bob"))
        data_dir.accept("elsewhere", source="billing")
        news = arrivals.after(2, arrivals.last_seq(), limit=3)
        assert (news.arrived, news.fitting, news.missed) == (9, 8, 0)
        assert [call.message_id for call in news.calls] == ["m7", "m8", "m9"]
        assert arrivals.after(12, 12, limit=3) == (0, 0, [], 0)


def test_a_call_of_a_wanted_outcome_is_told_once_it_has_it(data_dir: DataDir) -> None:
    """And once alone; what ends otherwise is not."""
    with (
        data_dir.opened() as stored,
        closing(Arrivals(stored, "website", Wanted(outcome="failed"))) as arrivals,
    ):
        data_dir.accept("m1", "m2")
        assert arrivals.after(0, 2, limit=9).calls == []
        data_dir.settle("delivered", 1, cursor=0)
        data_dir.settle("delivered", 1, to=2, cursor=0)
        assert arrivals.after(2, 2, limit=9).calls == []
        data_dir.settle("failed", 2, reason="gave_up")
        assert [call.message_id for call in arrivals.after(2, 2, limit=9).calls] == ["m2"]
        assert arrivals.after(2, 2, limit=9).calls == []


def test_bytes_that_cannot_be_read_are_a_call_too(data_dir: DataDir) -> None:
    """With what lies beside them."""
    data_dir.accept_raw(b"\xff not json", "m1", call_type="track")
    (call,) = calls_of(data_dir)
    assert (call.type, call.event, call.at_ms) == ("track", "", NOW_MS)


def test_the_library_is_told_as_the_call_says_it(data_dir: DataDir) -> None:
    """In the message or around its batch; many libraries say none."""
    context = b'{"library":{"name":"analytics-python","version":"2.3"}}'
    data_dir.accept_raw(b'{"context":%b}' % context, "m1")
    data_dir.accept_raw(b"{}", "m2", context=context)
    data_dir.accept_raw(b'{"context":{"library":"x"}}', "m3")
    with data_dir.opened() as stored, closing(Arrivals(stored, "website", Wanted())) as arrivals:
        told = [arrivals.library_of(call) for call in arrivals.before(4, 9).calls]
    assert told == ["", "analytics-python 2.3", "analytics-python 2.3"]
