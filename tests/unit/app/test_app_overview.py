"""The overview says in one sentence whether anything is failing, and where every message went."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from asking import Answer, House, opened, standing_of
from engage_house import engaged_house

import factories
from data_dirs import destination, source
from headgate.delivery.facts import DELIVERED, FAILED
from headgate.eventlog.refused import Refusal, RefusedRing
from headgate.workspace.access import Role

MINUTE_S = 60


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one


async def page(house: House, address: str = "/") -> Answer:
    """The page as a viewer gets it."""
    viewer = await house.somebody(Role.VIEWER)
    return await viewer.get(address)


async def overview(house: House) -> str:
    """What it says."""
    return (await page(house)).words.partition("Settings ")[2]


def refuse_with_key(house: House, key: str, times: int, **fields: Any) -> None:
    """Calls whose write key no source has, a second ago."""
    body = factories.message("r", context={"library": {"name": "analytics-node", "version": "2.1"}})
    at_ms = house.clock.now_ms() - 1_000
    usual: dict[str, Any] = {"at_ms": at_ms, "source": "", "body": body, "write_key": key}
    one = Refusal(**(usual | {"reason": "unknown_write_key", "message_id": "r"} | fields))
    with closing(RefusedRing(house.data_dir.path / "refused.db")) as ring:
        ring.add([one] * times)


# The verdict


async def test_what_has_waited_for_less_than_a_minute_is_being_delivered(house: House) -> None:
    """It counts as pending, and nothing is wrong."""
    words = await overview(house)
    assert words.startswith("Everything is being delivered. 0 messages/min in")
    assert "heap cloud Delivering 0 delivered 0 discarded 0 failed 1 pending" in words


async def test_a_destination_whose_oldest_message_waits_over_a_minute_is_slow(house: House) -> None:
    """With since when, and how many wait."""
    house.clock.advance(2 * MINUTE_S)
    words = await overview(house)
    assert words.startswith("heap is slow: messages wait over a minute.")
    assert "1 waiting over a minute" in words
    assert "heap : the oldest of 1 pending message was received at 14 Nov 2023, 22:13:20" in words


async def test_nothing_arrives_for_a_quarter_of_an_hour(house: House) -> None:
    """Said with when the last message came."""
    house.data_dir.settle(DELIVERED, 1, cursor=1)
    house.standing = [standing_of("heap", cursor=1)]
    house.clock.advance(16 * MINUTE_S)
    words = await overview(house)
    assert words.startswith("Nothing is arriving.")
    assert "The last message arrived at 14 Nov 2023, 22:13:20 UTC ." in words


async def test_a_failing_destination_goes_before_a_slow_one(house: House) -> None:
    """With its name, the reason, since when, and what waits."""
    house.data_dir.use(sources=[source()], destinations=[destination(name="Heap production")])
    house.clock.advance(2 * MINUTE_S)
    why = {"state": "failing", "trouble": "no answer within 10 s", "since_ms": 1_700_000_000_000}
    house.standing = [standing_of("heap", unread=1, **why)]
    words = await overview(house)
    assert words.startswith("Heap production is failing.")
    assert "Heap production : no answer within 10 s, since 14 Nov 2023, 22:13:20 UTC ." in words
    assert "1 message waits safely on disk." in words


async def test_outcomes_that_cannot_be_recorded_are_a_failure_too(house: House) -> None:
    """Nothing more is sent then, though Heap would take it."""
    house.standing = [standing_of("heap", trouble="outcomes cannot be recorded: disk full")]
    words = await overview(house)
    assert words.startswith("heap is failing.")
    assert "outcomes cannot be recorded: disk full" in words


async def test_a_log_without_room_goes_before_everything(house: House) -> None:
    """Senders are told to come again, and so are people."""
    document = house.document() | {"retention": {"maxBytes": 1}}
    house.app.parts.workspace.commit(document, actor="a test")
    house.standing = [standing_of("heap", state="failing", trouble="no answer within 10 s")]
    words = await overview(house)
    assert words.startswith("Headgate is not accepting messages.")
    assert "retention.maxBytes is reached" in words
    assert "no answer within 10 s" in words


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


# The channel


async def test_every_figure_leads_to_messages_of_the_same_period(house: House) -> None:
    """Received by source, and each outcome by destination, in the period of the page."""
    house.data_dir.accept("m2", "m3")
    house.data_dir.settle(DELIVERED, 1, 2, cursor=2)
    text = (await page(house, "/?period=1h")).text
    links = re.findall(r'<a [^>]*href="(/messages[^"]*)"[^>]*data-count="(\d+)"', text)
    counts = {address.replace("&amp;", "&"): int(n) for address, n in links}
    ends = "from=2023-11-14T21%3A14%3A00.000Z&to=2023-11-14T22%3A14%3A00.000Z"
    assert counts[f"/messages?source=website&{ends}"] == 3
    for outcome, n in (("delivered", 2), ("discarded", 0), ("failed", 0), ("pending", 1)):
        assert counts[f"/messages?destination=heap&{ends}&outcome={outcome}"] == n


async def test_a_message_of_yesterday_is_in_the_week_but_not_in_the_day(house: House) -> None:
    """The log still holds it."""
    house.clock.advance(25 * 60 * MINUTE_S)
    assert "0 delivered 0 discarded 0 failed 0 pending" in (await page(house, "/")).words
    assert "0 failed 1 pending" in (await page(house, "/?period=7d")).words
    assert "The log holds 1 messages" in await overview(house)


async def test_sources_that_send_nowhere_are_told(house: House) -> None:
    """One without a destination, and one that is disabled."""
    house.data_dir.use(
        sources=[source(), source("lone", name="Lone"), source("off", name="Off", enabled=False)],
        destinations=[destination()],
    )
    words = await overview(house)
    assert "Lone website 0 · 0/min No destination: kept, not sent" in words
    assert "Off website 0 · 0/min Disabled" in words


async def test_of_many_sources_the_busiest_are_drawn(house: House) -> None:
    """And the others counted."""
    slugs = ["website", *(f"s{number}" for number in range(9))]
    house.data_dir.use(
        sources=[source(slug, name=slug) for slug in slugs], destinations=[destination()]
    )
    text = (await page(house)).text
    assert text.count('class="branch"') == 7
    assert "3 other sources" in text
    assert 'id="branch-website"' in text


# Needs attention, and the rest


async def test_an_unknown_write_key_needs_attention(house: House) -> None:
    """With the key, masked, when it was used last, and by which library."""
    refuse_with_key(house, "wk_n…_1", 3)
    words = await overview(house)
    assert (
        "3 calls used an unknown write key wk_n…_1 , last 1 s ago , library analytics-node 2.1"
        in words
    )
    listed = await page(house, "/unknown-keys")
    assert 'data-count="3"' in listed.text
    assert "No source has this write key." in listed.words


async def test_failed_messages_need_attention_until_they_are_sent_again(house: House) -> None:
    """The link leads to their causes."""
    house.data_dir.give_up(1, cursor=1)
    text = (await page(house)).text
    assert 'href="/destinations/heap/failures" data-count="1"' in text
    assert "message failed at heap" in text


async def test_what_was_refused_of_a_source_leads_to_its_calls(house: House) -> None:
    """By reason."""
    house.data_dir.refuse("r", "no_ids")
    answer = await page(house)
    assert (
        'href="/sources/website/refused?period=24h&amp;reason=no_ids" data-count="1"' in answer.text
    )
    assert (
        "refused at Website: The message has neither a userId nor an anonymousId." in answer.words
    )


async def test_members_without_a_user_id_need_attention(tmp_path: Path) -> None:
    """No destination can be told of them; the link lists them."""
    with engaged_house(tmp_path) as one:
        one.live()
        viewer = await one.somebody(Role.VIEWER)
        answer = await viewer.get("/")
        assert "1 person in Buyers has no userId and cannot be delivered to Heap" in answer.words
        (path,) = re.findall(r'href="(/audiences/buyers/[^"]*)" data-count="1"', answer.text)
        assert path == "/audiences/buyers/members?among=undeliverable"
        assert (await viewer.get(path)).text.count('<tr id="person-') == 1


async def test_the_newest_changes_are_told(house: House) -> None:
    """Who made them, and the first thing that is different."""
    spare = source("spare", type="server", name="Spare")
    house.data_dir.use(sources=[source(name="Shop"), spare], destinations=[destination()])
    words = await overview(house)
    assert "Recent changes 14 Nov 2023" in words
    assert "a test : ~ source website: name Website → Shop" in words


async def test_before_the_first_message_there_are_three_steps(house: House) -> None:
    """They tick themselves off; a viewer cannot press what a step needs."""
    editor = await house.somebody(Role.EDITOR)
    house.app.parts.workspace.commit({"sources": [], "destinations": []}, actor="a test")
    answer = await editor.get("/")
    assert "Three steps to the first message" in answer.words
    assert 'href="/connect?destination=heap"' in answer.text
    assert re.findall(r'data-done="(\w+)"', answer.text) == ["no", "yes", "yes"]
    viewer = await house.somebody(Role.VIEWER)
    assert 'href="/connect?destination=heap"' not in (await viewer.get("/")).text


async def test_a_failed_message_whose_content_is_hostile_stays_text(house: House) -> None:
    """Names come from people and from outside."""
    name = '<img src=x onerror="alert(1)">'
    house.data_dir.use(sources=[source(name=name)], destinations=[destination(name=name)])
    house.data_dir.settle(FAILED, 1, reason="refused", cursor=1)
    text = (await page(house)).text
    assert "<img" not in text
    assert "&lt;img src=x" in text
