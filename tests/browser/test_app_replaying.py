"""Overview, delivery and failures in Chromium, over a running server and a sandbox that misbehaves."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPConnection
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio
from app_house import NAME, PASSWORD, AppHouse, reading, sideways_px, violations
from pages import SETTLES_WITHIN_S, chromium, needs_chromium
from playwright.async_api import Browser, Page, ViewportSize, expect

from heap_view import Heap
from processes import Gateway, run

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

_WORKSPACE = """\
sources:
  - {{slug: website, name: Website, type: website, writeKeys: [wk_website]}}
destinations:
  - slug: heap
    name: Heap production
    sourceId: website
    settings: {{appId: "1001", apiBaseUrl: "{heap}", limits: {{eventsPerMinute: 1000000, eventsPerMinutePerUser: 0}}}}
"""
PATHS = (
    "/",
    "/?period=7d",
    "/unknown-keys",
    "/destinations/heap",
    "/destinations/heap?period=24h&outcome=discarded&reason=unsupported_type",
    "/destinations/heap?from=2026-01-01T00:00&to=2025",
    "/destinations/heap/failures",
)
REFUSED = 213
NARROW: ViewportSize = {"width": 320, "height": 640}
WIDE: ViewportSize = {"width": 1280, "height": 800}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def heap() -> Iterator[Heap]:
    with Heap() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(
    browser: Browser, heap: Heap, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AppHouse]:
    """With an owner, and nothing received yet."""
    folder = tmp_path_factory.mktemp("delivery")
    config = folder / "headgate.yaml"
    config.write_text(_WORKSPACE.format(heap=heap.url))
    with Gateway(folder / "data", config) as gateway:
        one = AppHouse(gateway)
        link = one.first_link()
        assert link is not None
        async with reading(browser, one) as reader:
            page = await reader.open(link.removeprefix(one.url))
            await page.get_by_label("Name").fill(NAME)
            await page.get_by_label("Password").fill(PASSWORD)
            await page.keyboard.press("Enter")
            await page.wait_for_url(f"{one.url}/")
            one.state = await reader.context.storage_state()
        yield one


def sent(house: AppHouse, *messages: dict[str, Any], key: str = "wk_website") -> None:
    """A batch, as a library sends it."""
    line = HTTPConnection("127.0.0.1", house.gateway.port, timeout=10)
    body = json.dumps({"writeKey": key, "batch": messages})
    line.request("POST", "/v1/batch", body, {"Content-Type": "application/json"})
    assert line.getresponse().status == 200
    line.close()


def tracked(message_id: str, user: str = "ann") -> dict[str, Any]:
    """A track call."""
    library = {"library": {"name": "analytics-node", "version": "2.1"}}
    message = {"type": "track", "event": "Order Completed", "messageId": message_id}
    return message | {"userId": user, "context": library}


async def figure(page: Page, outcome: str) -> int:
    """What the sum of the page says."""
    shown = page.locator(f".sum [data-outcome={outcome}]")
    return int(await shown.get_attribute("data-count") or "-1")


async def reach(page: Page, outcome: str, n: int) -> None:
    """Waits until the figure moves there by itself."""
    await expect(page.locator(f".sum [data-outcome={outcome}]")).to_have_attribute(
        "data-count", str(n), timeout=30_000
    )


async def test_the_first_steps_tick_themselves_off(house: AppHouse, browser: Browser) -> None:
    """When the first message comes, without a reload."""
    async with reading(browser, house) as reader:
        page = await reader.open("/")
        await expect(page.get_by_text("Three steps to the first message")).to_be_visible()
        assert await violations(page) == []
        await expect(page.locator("[data-done=yes]")).to_have_count(1)
        sent(house, tracked("first"), {"type": "page", "messageId": "p", "userId": "ann"})
        await expect(page.get_by_role("heading", level=1)).to_have_text(
            "Everything is being delivered."
        )
        assert reader.complaints == []


async def test_a_call_with_an_unknown_key_is_told_within_three_seconds(
    house: AppHouse, browser: Browser
) -> None:
    """With the key, masked, and the library."""
    async with reading(browser, house) as reader:
        page = await reader.open("/")
        await expect(page.locator("[data-live=on]")).to_be_attached()
        began = monotonic()
        sent(house, tracked("lost"), key="wk_of_nobody_1")
        item = page.locator("#attention ~ ul li").filter(has_text="unknown write key")
        await expect(item).to_contain_text("wk_o…_1")
        assert monotonic() - began < 3
        await expect(item).to_contain_text("library analytics-node 2.1")
        assert reader.complaints == []


async def test_an_outage_changes_the_verdict_and_its_end_changes_it_back(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """It names the destination, the cause, since when, and how many wait; nobody reloads."""
    async with reading(browser, house) as reader:
        page = await reader.open("/")
        await expect(page.locator("[data-live=on]")).to_be_attached()
        heap.play({"answer": {"status": 503, "body": "busy"}})
        began = monotonic()
        sent(house, *(tracked(f"o{number}", f"user{number}") for number in range(20)))
        verdict = page.get_by_role("heading", level=1)
        await expect(verdict).to_have_text("Heap production is failing.")
        assert monotonic() - began < 5
        notice = page.locator("#part-sentence .notice.failed")
        await expect(notice).to_contain_text(re.compile("answered 503: busy, since .*UTC"))
        await expect(notice).to_contain_text("20 messages wait safely on disk.")
        heap.play()
        await expect(verdict).to_have_text("Everything is being delivered.", timeout=70_000)
        assert reader.complaints == []


async def test_every_message_refused_is_one_cause_and_all_of_it_is_replayed(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """The cause names the change before it; failures become delivered while the page is open, each once."""
    async with reading(browser, house) as reader:
        page = await reader.open("/destinations/heap/settings")
        await page.get_by_label(re.compile("App ID|appId")).first.fill("9999")
        await page.get_by_role("button", name="Save settings").click()
        heap.play({"match": {"app_id": "9999"}, "answer": {"status": 400, "body": "Bad Request"}})
        sent(house, *(tracked(f"r{number}") for number in range(REFUSED)))
        await page.goto(f"{house.url}/destinations/heap")
        await reach(page, "failed", REFUSED)
        await page.get_by_role("link", name="Failures").click()
        cause = page.locator(".cause-list > li")
        await expect(cause).to_have_count(1)
        await expect(cause).to_contain_text("Every message was refused")
        await expect(cause).to_contain_text("settings.appId 1001 → 9999")
        assert await violations(page) == []
        await cause.get_by_role("link", name="Show").click()
        await expect(page.locator("#rows tbody tr")).to_have_count(100)
        await page.get_by_role("link", name="Load more").click()
        await page.get_by_role("link", name="Load more").click()
        await expect(page.locator("#rows tbody tr")).to_have_count(REFUSED - 200)

        await mend(page, house)
        opener = page.get_by_role("link", name=f"Replay {REFUSED}")
        await opener.click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.locator("[data-figure=replay]")).to_have_attribute(
            "data-count", str(REFUSED)
        )
        await expect(dialog.locator("[data-figure=estimate]")).to_contain_text("about a second")
        await expect(dialog.locator("[data-figure=skipped]")).to_have_attribute("data-count", "0")
        await expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
        assert await violations(page) == []
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await expect(opener).to_be_focused()
        await expect(page.locator("[data-replay]")).to_have_count(0)

        await opener.click()
        await dialog.get_by_role("button", name=f"Replay {REFUSED} messages").click()
        await page.wait_for_url("**/failures")
        await page.reload()
        replay = page.locator("[data-replay]")
        await expect(replay).to_contain_text(f"{REFUSED} of {REFUSED} done")
        await expect(page.get_by_text("is failed")).to_be_visible()
        events = [one for one in heap.events() if one["app_id"] == "1001"]
        keys = [one["idempotency_key"] for one in events if "idempotency_key" in one]
        assert len(keys) == len(set(keys))
        assert {f"r{number}" for number in range(REFUSED)} <= set(keys)
        assert reader.complaints == []


async def mend(page: Page, house: AppHouse) -> None:
    """The App ID is right again."""
    await page.goto(f"{house.url}/destinations/heap/settings")
    await page.get_by_label(re.compile("App ID|appId")).first.fill("1001")
    await page.get_by_role("button", name="Save settings").click()
    await page.goto(f"{house.url}/destinations/heap/failures")


async def test_a_cause_is_replayed_without_scripts(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """The question is a page then, and progress is seen by loading the page again."""
    heap.play({"match": {"identity": "zoe"}, "answer": {"status": 400}})
    sent(house, tracked("z", "zoe"))
    async with reading(browser, house, java_script_enabled=False) as reader:
        page = await reader.open("/destinations/heap/failures")
        await loaded_until(page, "1 failed in 1 cause")
        heap.play()
        await page.get_by_role("link", name="Replay 1").click()
        await page.get_by_role("button", name="Replay 1 message").click()
        await loaded_until(page, "Nothing that was sent to Heap production is failed")
        assert heap.event_names("zoe") == ["Order Completed"]


async def loaded_until(page: Page, words: str) -> None:
    """Loads the page again until it says so."""
    async with asyncio.timeout(SETTLES_WITHIN_S):
        while words not in await page.locator("main").inner_text():
            await page.reload()


async def test_figures_are_the_audits_and_a_body_is_three_clicks_away(
    house: AppHouse, browser: Browser
) -> None:
    """In each period; back leads to what was chosen before."""
    said = json.loads(run("audit", "--json", "--data-dir", house.gateway.data_dir).stdout)
    expected = said["destinations"]["heap"]
    async with reading(browser, house) as reader:
        page = await reader.open("/destinations/heap")
        for period in ("24 h", "7 d", "1 h"):
            await page.get_by_role("link", name=period).click()
            for outcome in ("delivered", "discarded", "failed", "pending"):
                assert await figure(page, outcome) == expected[outcome]
            received = page.locator("[data-figure=received]")
            assert await received.get_attribute("data-count") == str(expected["accepted"])
        chosen = page.get_by_role("link", name="The destination takes identify and track")
        await chosen.click()
        await page.locator("#chosen a.row").first.click()
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert "/messages/p?position=" in page.url
        await page.go_back()
        await expect(chosen).to_have_attribute("aria-current", "true")
        assert reader.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_pages_are_for_everybody_and_fit_a_narrow_window(
    house: AppHouse, browser: Browser, theme: Any
) -> None:
    """Filled, in both themes."""
    async with reading(browser, house, color_scheme=theme, viewport=WIDE) as reader:
        page = await reader.open("/")
        for path in PATHS:
            await page.set_viewport_size(WIDE)
            await page.goto(house.url + path)
            assert await violations(page) == [], path
            await page.set_viewport_size(NARROW)
            assert await sideways_px(page) == 0, path
        assert reader.complaints == []
        assert reader.elsewhere == []
