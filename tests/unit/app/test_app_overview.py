"""The overview says in one sentence whether anything is failing, and where every message went."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import House, opened, standing_of

from data_dirs import destination, source
from headgate.delivery.facts import DELIVERED
from headgate.workspace.access import Role


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one


async def overview(house: House) -> str:
    """What it says."""
    viewer = await house.somebody(Role.VIEWER)
    return (await viewer.get("/")).words.partition("Settings ")[2]


async def test_what_waits_is_no_failure(house: House) -> None:
    """And a figure stands for each outcome."""
    words = await overview(house)
    assert words.startswith("1 message waits, and nothing is failing. as of 14 Nov 2023")
    assert "heap cloud Delivering 0 delivered 0 discarded 0 failed 1 pending" in words


async def test_all_is_well(house: House) -> None:
    """When nothing waits."""
    house.data_dir.settle(DELIVERED, 1, cursor=1)
    house.standing = [standing_of("heap")]
    assert (await overview(house)).startswith("Everything is being delivered.")


async def test_a_failing_destination_goes_first(house: House) -> None:
    """With its name, the reason, since when, and what waits."""
    house.data_dir.use(sources=[source()], destinations=[destination(name="Heap production")])
    why = {"state": "failing", "trouble": "no answer within 10 s", "since_ms": 1_700_000_000_000}
    house.standing = [standing_of("heap", pending=1, unread=2, **why)]
    words = await overview(house)
    assert words.startswith("Heap production is failing.")
    assert "Heap production : no answer within 10 s, since 14 Nov 2023, 22:13:20 UTC ." in words
    assert "3 messages wait safely on disk." in words


async def test_outcomes_that_cannot_be_recorded_are_a_failure_too(house: House) -> None:
    """Nothing more is sent then, though Heap would take it."""
    house.standing = [standing_of("heap", trouble="outcomes cannot be recorded: disk full")]
    words = await overview(house)
    assert words.startswith("heap is failing.")
    assert "disk full. 0 messages wait safely on disk." in words.replace(" .", ".")


async def test_nothing_connected_leads_to_the_first_source(house: House) -> None:
    """Three steps, and a button that a viewer cannot press."""
    editor = await house.somebody(Role.EDITOR)
    await editor.post("/sources/spare/delete", {"slug": "spare"})
    house.app.parts.workspace.commit({"sources": [], "destinations": []}, actor="a test")
    answer = await editor.get("/")
    assert "Nothing is connected yet." in answer.words
    assert 'href="/sources/new"' in answer.text
    viewer = await house.somebody(Role.VIEWER)
    assert 'href="/sources/new"' not in (await viewer.get("/")).text


async def test_what_was_refused_at_the_door_needs_attention(house: House) -> None:
    """With the reason and what to do, in the words of the trace."""
    for number in range(3):
        house.data_dir.refuse(f"r{number}", "unknown_write_key", source="")
    assert "3 refused at the door. No source has this write key. Compare" in await overview(house)


async def test_sources_that_send_nowhere_are_told(house: House) -> None:
    """One without a destination, and one that is disabled."""
    house.data_dir.use(sources=[source(name="Lone"), source("off", name="Off", enabled=False)])
    words = await overview(house)
    assert "Lone website No destination: kept, not sent" in words
    assert "Off website Disabled" in words


async def test_what_is_off_or_in_the_page_is_no_failure(house: House) -> None:
    """Whatever delivery last knew of it."""
    house.data_dir.use(
        sources=[source()],
        destinations=[
            destination("off", enabled=False),
            destination("page", connectionMode="device"),
        ],
    )
    house.standing = [standing_of("off", state="failing", trouble="x"), standing_of("page")]
    words = await overview(house)
    assert not words.startswith("off is failing")
    assert "off cloud Disabled" in words
    assert "page device The browser sends" in words
