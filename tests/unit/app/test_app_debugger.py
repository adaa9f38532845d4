"""The debugger: every call of a source with what became of it, refused ones too; live, and nothing that fits missed."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from asking import Answer, Asker, House, Watch, opened, watching

import factories
from headgate.eventlog.interface import Arrival
from headgate.spec.names import CALL_TYPE_CODES, TRACK
from headgate.spec.timestamps import iso_ms
from headgate.workspace.access import Role

PAGE = "/sources/website/debugger"
NONE = "\u2013"
_numbers = count()
HOSTILE = '<img src=x onerror="window.stolen=1">'


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """With one call, m1."""
    with opened(tmp_path) as one:
        yield one


@pytest.fixture
async def viewer(house: House) -> Asker:
    return await house.somebody(Role.VIEWER)


def places(text: str) -> list[str]:
    """The rows of a page or of a frame, by their names in addresses."""
    return re.findall(r'<tr id="call-(\w+)"', text)


def line_of(answer: Answer) -> str:
    """The line that a page opens."""
    return re.search(r'data-line="([^"]*)"', answer.text)[1].replace("&amp;", "&")  # type: ignore[index]


def say(house: House, *users: str, event: str = "Clicked") -> None:
    """A request of one call by each user."""
    ids = [f"say-{next(_numbers)}" for _ in users]
    said = zip(ids, users, strict=True)
    raws = [factories.message(id_, userId=user, event=event) for id_, user in said]
    envelope = factories.envelope(received_at_ms=house.clock.now_ms())
    types = bytearray([CALL_TYPE_CODES[TRACK]]) * len(users)
    house.data_dir.append(Arrival(envelope, raws, ids, list(users), types))


async def next_frame(watch: Watch) -> dict[str, Any]:
    """What is told in the next quarter of a second, and before, as one frame."""
    frames = [told.value for told in await watch.told_in(0.25) if told.event == "rows"]
    return {
        "rows": [place for frame in frames for place in places(frame["rows"])],
        "fates": {place: text for frame in frames for place, text in frame["fates"].items()},
        "fitting": sum(frame["fitting"] for frame in frames),
        "rate": frames[-1]["rate"] if frames else 0,
    }


async def test_the_list_has_what_was_taken_in_and_what_was_refused(
    house: House, viewer: Asker
) -> None:
    """Newest first, each with what became of it or why it was refused."""
    house.data_dir.settle("delivered", 1, cursor=1)
    house.clock.advance(1)
    house.data_dir.refuse("r1", "no_ids", body=b'{"type":"track","event":"Nobody\'s"}')
    house.clock.advance(1)
    say(house, "ann", event=HOSTILE)
    answer = await viewer.get(PAGE)
    assert places(answer.text) == ["2", "r1", "1"]
    assert f"track {HOSTILE} ann Pending" in answer.words
    assert f"track Nobody's {NONE} Refused The message has neither" in answer.words
    assert "track Order Completed ann Delivered" in answer.words
    assert HOSTILE not in answer.text


async def test_the_filter_goes_over_everything(house: House, viewer: Asker) -> None:
    """Words, type and outcome; refused calls have to fit as well."""
    house.data_dir.refuse("r1", "no_ids", body=b'{"type":"track","event":"Broken"}')
    say(house, "bob")
    for asked, found in (
        ({"q": "user:bob"}, ["2"]),
        ({"q": "event:Order*"}, ["1"]),
        ({"q": "event:Broken"}, ["r1"]),
        ({"type": "identify"}, []),
        ({"outcome": "refused"}, ["r1"]),
        ({"outcome": "pending"}, ["2", "1"]),
        ({"outcome": "delivered"}, []),
        ({"outcome": "nonsense", "type": "nonsense", "before": "x.y"}, ["2", "1", "r1"]),
    ):
        answer = await viewer.get(f"{PAGE}?{urlencode(asked)}")
        assert sorted(places(answer.text)) == sorted(found), asked


async def test_earlier_calls_can_all_be_reached(house: House, viewer: Asker) -> None:
    """A hundred at a time, in order, each once, however refused ones lie between them."""
    for number in range(130):
        house.clock.advance(1)
        say(house, f"u{number}")
        house.data_dir.refuse(f"r{number}", "no_ids")
    found: list[str] = []
    path = PAGE
    while path:
        answer = await viewer.get(path)
        rows = places(answer.text)
        assert len(rows) <= 100
        found += rows
        earlier = re.search(r'data-earlier href="([^"]*)"', answer.text)
        path = earlier[1] if earlier else ""
    expected = [name for number in range(130, 0, -1) for name in (str(number + 1), f"r{number}")]
    assert found == [*expected, "1"]


async def test_one_call_is_shown_whole(house: House, viewer: Asker) -> None:
    """What arrived, what was sent and what came back; of a refused one what arrived."""
    house.data_dir.attempt(1, answer=b'{"fine":true}')
    house.data_dir.settle("delivered", 1, cursor=1, attempt_id=1)
    house.data_dir.refuse("r1", "no_ids", body=b'{"event":"Nobody"}')
    for path in (f"{PAGE}/1", f"{PAGE}?at=1"):
        answer = await viewer.get(path)
        assert "Order Completed" in answer.words
        assert "messageId m1" in answer.words
        assert '{"fine":true}' in answer.words
    assert "Set one of them in the call." in (await viewer.get(f"{PAGE}/r1")).words
    assert "There is no such call any more." in (await viewer.get(f"{PAGE}?at=99")).words
    for place in ("99", "r99", "x", "0", "r", "9" * 30):
        assert (await viewer.get(f"{PAGE}/{place}")).status == 404, place
    assert (await viewer.get("/sources/spare/debugger/1")).status == 404
    assert (await viewer.get("/sources/nothing/debugger")).status == 404


async def test_without_any_call_the_usual_causes_are_named(viewer: Asker) -> None:
    """For a source that has never been called; for a filter that nothing fits, in other words."""
    assert "Another write key" in (await viewer.get("/sources/spare/debugger")).words
    assert "No call fits the filter." in (await viewer.get(f"{PAGE}?q=nothing")).words


async def test_a_call_that_lands_is_told_within_a_look(house: House, viewer: Asker) -> None:
    """And later, in its place, what became of it."""
    async with watching(viewer, line_of(await viewer.get(PAGE))) as watch:
        await watch.next_of("parts")
        say(house, "ann")
        house.data_dir.refuse("r1", "no_ids")
        frame = await next_frame(watch)
        assert sorted(frame["rows"]) == ["2", "r1"]
        assert frame["fitting"] == 2
        house.data_dir.settle("delivered", 1, 2, cursor=2)
        told = (await next_frame(watch))["fates"]
        assert told.keys() == {"1", "2"}
        assert all('data-outcome="delivered"' in text for text in told.values())


async def test_too_many_calls_are_counted_and_twenty_a_second_shown(
    house: House, viewer: Asker
) -> None:
    """The rate is that of all of them."""
    async with watching(viewer, line_of(await viewer.get(PAGE))) as watch:
        await watch.next_of("parts")
        await next_frame(watch)
        found = []
        for _ in range(24):
            say(house, *(f"u{number}" for number in range(250)))
            found.append(await next_frame(watch))
        assert {len(frame["rows"]) for frame in found} == {5}
        assert sum(frame["fitting"] for frame in found) == 6_000
        assert found[-1]["rate"] == pytest.approx(1_000, rel=0.01)


async def test_a_filter_misses_nothing_that_it_can_show(house: House, viewer: Asker) -> None:
    """One needle a second among a thousand calls, and twenty at once."""
    async with watching(viewer, line_of(await viewer.get(f"{PAGE}?q=user:needle"))) as watch:
        await watch.next_of("parts")
        shown = []
        for number in range(12):
            some = ["needle"] if number % 4 == 0 else []
            say(house, *(f"u{one}" for one in range(250)), *some)
            shown += (await next_frame(watch))["rows"]
        assert len(shown) == 3
        say(house, *["needle"] * 20)
        for _ in range(4):
            shown += (await next_frame(watch))["rows"]
        assert len(shown) == len(set(shown)) == 23


async def test_a_line_goes_on_where_its_page_ends(house: House, viewer: Asker) -> None:
    """What came between the page and the line is told, nothing twice."""
    line = line_of(await viewer.get(PAGE))
    say(house, "ann", "bob")
    async with watching(viewer, line) as watch:
        assert places((await watch.next_of("rows"))["rows"]) == ["3", "2"]


async def test_the_refused_of_a_source_are_listed_by_reason(house: House, viewer: Asker) -> None:
    """With counts, bodies and what to do; one reason alone when it is asked for."""
    house.data_dir.refuse("r1", "no_ids", body=b'{"event":"<b>Nobody"}')
    house.data_dir.refuse("r2", "no_event_name")
    house.data_dir.refuse("r3", "no_ids", source="spare")
    answer = await viewer.get("/sources/website/refused")
    assert "2 refused" in answer.words
    assert "Set one of them in the call. 1" in answer.words
    assert '{"event":"<b>Nobody"}' in answer.words
    assert re.findall(r'id="refusal-(\d+)"', answer.text) == ["2", "1"]
    answer = await viewer.get("/sources/website/refused?reason=no_ids")
    assert "1 refused" in answer.words
    assert re.findall(r'id="refusal-(\d+)"', answer.text) == ["1"]


async def test_the_refused_of_a_period_are_those_of_its_minutes(
    house: House, viewer: Asker
) -> None:
    """Their number, and themselves."""
    started_ms = house.clock.now_ms()
    for name in ("r1", "r2", "r3"):
        house.data_dir.refuse(name, "no_ids")
        house.clock.advance(600)
    bounds = {"from": iso_ms(started_ms + 300_000), "to": iso_ms(started_ms + 900_000)}
    answer = await viewer.get(f"/sources/website/refused?{urlencode(bounds)}")
    assert "1 refused" in answer.words
    assert re.findall(r'data-id="(\w+)"', answer.text) == ["r2"]


async def test_the_ledger_of_a_source_adds_up(house: House, viewer: Asker) -> None:
    """Called is refused and taken in; each figure leads to what it counts."""
    house.data_dir.refuse("r1", "no_ids")
    house.data_dir.refuse("r2", "no_event_name")
    say(house, "ann", "bob")
    house.data_dir.settle("delivered", 1, cursor=1)
    answer = await viewer.get("/sources/website")
    assert "5 called" in answer.words
    assert "2 refused 1 The" in answer.words
    assert "3 taken in" in answer.words
    assert "1 delivered 0 discarded 0 failed 2 pending" in answer.words
    assert "By event Clicked 2 Order Completed 1" in answer.words
    links = re.findall(r'href="([^"]*)"[^>]*data-outcome="(\w+)" data-count="(\d+)"', answer.text)
    assert len(links) >= 6
    for path, outcome, figure in links:
        listed = await viewer.get(path.replace("&amp;", "&"))
        assert listed.status == 200, path
        if outcome == "refused":
            assert f"{figure} refused" in listed.words
    assert "No calls yet with this key." in (await viewer.get("/sources/spare")).words


async def test_the_page_with_the_lines_to_paste_tells_when_a_call_comes(
    house: House, viewer: Asker
) -> None:
    """Live, with its library; a refused one with the reason."""
    install = "/sources/spare/install"
    assert "Waiting for the first call" in (await viewer.get(install)).words
    async with watching(viewer, f"/live?page={install}") as watch:
        assert "Waiting" in (await watch.next_of("parts"))["arrived"]
        house.data_dir.refuse("r1", "no_ids", source="spare")
        await watch.pass_s(1)
        assert "neither a userId" in (await watch.next_of("parts"))["arrived"]
        house.clock.advance(1)
        raw = b'{"type":"track","event":"Hello","context":{"library":{"name":"lib","version":"2"}}}'
        house.data_dir.accept_raw(raw, "m9", source="spare")
        await watch.pass_s(1)
        told = (await watch.next_of("parts"))["arrived"]
        assert "Hello" in told
        assert "lib 2" in told
