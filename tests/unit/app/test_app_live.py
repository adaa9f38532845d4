"""What moves by itself: told when it has changed, to who may see it, and no work while nobody watches."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from asking import Asker, House, opened, standing_of, watching
from starlette.requests import Request

from headgate.app.live import parts_of
from headgate.workspace.access import Role

REFUSED = "/live?page=%2Fsources%2Fwebsite%2Frefused"
FORGED = '" data-part="verdict"><!--part-->forged<!--/part-->'


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one


@pytest.fixture
async def viewer(house: House) -> Asker:
    return await house.somebody(Role.VIEWER)


async def test_a_page_is_told_whole_and_then_what_differs(house: House, viewer: Asker) -> None:
    """First every part, then, within two seconds, the one that has changed."""
    async with watching(viewer, REFUSED) as watch:
        first = await watch.next_of("parts")
        assert first.keys() == {"verdict", "reasons"}
        assert "Nothing of this source was refused" in first["reasons"]
        house.data_dir.refuse("r1", "no_ids")
        await watch.pass_s(1)
        assert (await watch.next()).event == "beat"
        told = await watch.next()
        assert told.value.keys() == {"reasons"}
        assert "neither a userId nor an anonymousId" in told.value["reasons"]


async def test_nothing_is_told_of_what_has_not_changed(house: House, viewer: Asker) -> None:
    """A beat each second, and nothing else, however long; ages go on in the page by themselves."""
    house.clock.advance(900)
    assert "data-age" in (await viewer.get("/sources")).text
    async with watching(viewer, "/live?page=%2Fsources") as watch:
        await watch.next_of("parts")
        for _ in range(60):
            await watch.pass_s(1)
            assert (await watch.next()).event == "beat"
        assert watch.silent()


async def test_the_verdict_is_told_on_every_page(house: House, viewer: Asker) -> None:
    """Without a page that has parts, too."""
    async with watching(viewer, "/live") as watch:
        assert "Delivering" in (await watch.next_of("parts"))["verdict"]
        house.standing = [standing_of("heap", trouble="500 Internal Server Error")]
        await watch.pass_s(1)
        assert "1 failing" in (await watch.next_of("parts"))["verdict"]


async def test_while_nobody_watches_nothing_is_done(house: House, viewer: Asker) -> None:
    """No timer is left, and nothing runs."""
    tasks = len(asyncio.all_tasks())
    async with watching(viewer, REFUSED) as watch:
        await watch.next_of("parts")
        await watch.pass_s(1)
        await watch.next_of("beat")
    assert house.clock.next_timer_s() is None
    assert len(asyncio.all_tasks()) == tasks


async def test_a_session_has_four_lines_and_the_next_is_told_so(
    house: House, viewer: Asker
) -> None:
    """Where one is given up there is room again; other sessions have their own."""
    other = await house.somebody(Role.VIEWER)
    async with AsyncExitStack() as held:
        lines = [await held.enter_async_context(watching(viewer, REFUSED)) for _ in range(4)]
        for line in lines:
            await line.next_of("parts")
        async with watching(viewer, REFUSED) as fifth:
            assert (await fifth.next()).event == "busy"
            assert await fifth.ends()
        async with watching(other, REFUSED) as theirs:
            assert (await theirs.next()).event == "beat"
    async with watching(viewer, REFUSED) as again:
        assert (await again.next()).event == "beat"


async def test_a_line_ends_with_its_session(house: House, viewer: Asker) -> None:
    """Within a second, and nothing is told any more."""
    async with watching(viewer, REFUSED) as watch:
        await watch.next_of("parts")
        await viewer.post("/logout")
        house.data_dir.refuse("r1", "no_ids")
        await watch.pass_s(1)
        assert (await watch.next()).event == "over"
        assert await watch.ends()


@pytest.mark.parametrize(
    "address",
    [
        "/sources/gone",
        "/settings/people/1/remove",
        "/logout",
        "/live",
        "/api/sources",
        "https://elsewhere.example/",
        "//elsewhere.example/sources/website",
        "\u0000",
    ],
)
async def test_of_what_they_may_not_see_nothing_is_told(
    house: House, viewer: Asker, address: str
) -> None:
    """Neither of pages for others, nor of what is no page of ours."""
    async with watching(viewer, f"/live?page={address}") as watch:
        assert (await watch.next_of("parts")).keys() == {"verdict"}


async def test_a_page_is_shown_to_those_alone_who_may_open_it(house: House, viewer: Asker) -> None:
    """As if they had asked for it themselves."""
    editor = await house.somebody(Role.EDITOR)
    nobody = Asker(house.app)
    shown = [
        await house.app._guard.shown(Request(asker.scope("GET", "/live")), "/sources/new")
        for asker in (editor, viewer, nobody)
    ]
    assert "Create source" in shown[0]
    assert shown[1:] == ["", ""]


async def test_a_slow_reader_misses_what_came_in_between(house: House, viewer: Asker) -> None:
    """When there is room again, the newest is told, once."""
    async with watching(viewer, REFUSED) as watch:
        await watch.next_of("parts")
        watch.has_room.clear()
        await watch.pass_s(1)  # and there the line stands
        for number in range(5):
            house.data_dir.refuse(f"r{number}", "no_ids")
            house.clock.advance(1)
        watch.has_room.set()
        await watch.pass_s(1)
        told = await watch.next_of("parts")
        assert 'data-count="5"' in told["reasons"]
        await watch.pass_s(1)
        assert (await watch.next()).event == "beat"
        assert watch.silent()


async def test_no_text_from_outside_is_taken_for_a_part(house: House, viewer: Asker) -> None:
    """What looks like the marks of a part is escaped wherever it stands."""
    editor = await house.somebody(Role.EDITOR)
    form = {"version": "1", "name": FORGED, "type": "website"}
    assert (await editor.post("/sources/website/settings", form)).status == 303
    answer = await viewer.get("/sources/website")
    assert "forged" in answer.words
    assert "forged" not in parts_of(answer.text)["verdict"]
