"""The demo's shop in a real browser: each click is a call, and what Heap was told stands beneath it."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import SETTLES_WITHIN_S, Visitor, chromium, needs_chromium, visitor
from playwright.async_api import Page

from processes import HEADGATE, Child, eventually, free_port, run

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop") / "data"


@pytest.fixture(scope="module")
def demo(data_dir: Path) -> Iterator[Child]:
    ports = [f"--{name}={free_port()}" for name in ("port", "app-port", "sandbox-port")]
    with Child([HEADGATE, "demo", "--data-dir", data_dir, *ports]) as child:
        child.says(r"Ctrl-C stops everything")
        yield child


async def test_each_click_shows_what_the_page_called_and_what_heap_was_told(demo: Child) -> None:
    """From the first look to the logout, all of it as it happens, and no request leaves this machine's three ports."""
    async with chromium() as browser, visitor(browser) as shopper:
        page = await opened(demo, shopper)
        await page.click(".card:nth-child(1) .view")
        await told(page, 'heap.track("Product Viewed", { "product_id": "p-1"')
        await page.click(".card:nth-child(2) .add")
        await told(page, 'heap.track("Product Added", { "product_id": "p-2"')
        await page.click("#items button")
        await told(page, 'heap.track("Product Removed"')
        await page.click(".card:nth-child(6) .add")
        await told(page, 'heap.track("Product Added", { "product_id": "p-6"')
        await page.fill("#name", "Grace Hopper")
        await page.click("#sign")
        await told(page, 'heap.identify("shop-grace-hopper")')
        await told(page, 'heap.addUserProperties({ "name": "Grace Hopper", "plan.name": "green"')
        await page.click("#order")
        await told(page, 'heap.track("Order Completed", { "total": 12.5')
        await page.click("#sign")
        await told(page, "heap.resetIdentity()")

        made = await page.locator("#calls .made").all_text_contents()
        assert [one.partition("(")[0] for one in reversed(made)] == [
            *["analytics.track"] * 4,
            "analytics.identify",
            "analytics.track",
            "analytics.reset",
        ]
        assert await page.locator("#calls .waits").count() == 0
        assert shopper.complaints == []
        ours = set(re.findall(r"127\.0\.0\.1:\d+", demo.out))
        assert shopper.hosts <= ours


async def test_the_command_beneath_a_call_tells_its_story(demo: Child, data_dir: Path) -> None:
    """The message reached the server, which left it to the page."""
    async with chromium() as browser, visitor(browser) as shopper:
        page = await opened(demo, shopper)
        await page.click(".card:nth-child(3) .add")
        line = await page.locator("#calls .stored:not([hidden]) code").text_content()
    message_id = str(line).removeprefix(".venv/bin/headgate trace ")

    def decided() -> str:
        said = run("trace", message_id, "--json", "--data-dir", data_dir).stdout
        outcomes = json.loads(said)["outcomes"] if said else []
        return ", ".join(one["reason"] for one in outcomes)

    assert await asyncio.to_thread(eventually, decided, SETTLES_WITHIN_S) == "device_mode"


async def test_a_blocked_heap_is_shown_as_blocked(demo: Child) -> None:
    """Nobody waits for what will not come."""
    async with chromium() as browser, visitor(browser) as shopper:
        await shopper.context.route("**/heap_config.js", lambda route: route.abort())
        page = await opened(demo, shopper)
        assert await page.locator("#state").text_content() == "Heap is blocked"
        await page.click(".card:nth-child(3) .add")
        assert (
            await page.locator("#calls .told").text_content() == "not told: its script is blocked"
        )


async def test_the_shop_may_be_opened_as_localhost(demo: Child) -> None:
    """That is another origin than the sandbox that its settings name, so it moves over there."""
    async with chromium() as browser, visitor(browser) as shopper:
        page = await shopper.open(address_of(demo).replace("127.0.0.1", "localhost"))
        await page.wait_for_selector("body[data-ready]")
        assert await page.locator("#state").text_content() == "Heap is in the page"
        await page.click(".card:nth-child(3) .add")
        await told(page, 'heap.track("Product Added", { "product_id": "p-3"')


async def test_a_blank_name_signs_nobody_in_or_out(demo: Child) -> None:
    """No call is made of it."""
    async with chromium() as browser, visitor(browser) as shopper:
        page = await opened(demo, shopper)
        await page.fill("#name", "   ")
        await page.click("#sign")
        assert await page.locator("#calls li").count() == 0
        assert await page.locator("#who").text_content() == "Not signed in"


async def test_on_a_narrow_screen_the_panel_folds(demo: Child) -> None:
    """It lies over the shop otherwise."""
    async with chromium() as browser, visitor(browser) as shopper:
        page = await opened(demo, shopper)
        await page.set_viewport_size({"width": 360, "height": 720})
        await page.click(".card:nth-child(1) .view")
        await told(page, 'heap.track("Product Viewed"')
        await page.click("#fold")
        assert not await page.locator("#calls").is_visible()
        await page.click("#fold")
        assert await page.locator("#calls").is_visible()


def address_of(demo: Child) -> str:
    """What the demo prints."""
    return demo.says(r"A shop in device mode +(http://\S+)")[1]


async def opened(demo: Child, shopper: Visitor) -> Page:
    """The shop, once analytics.js and Heap are ready, at the address that the demo prints."""
    page = await shopper.open(address_of(demo))
    await page.wait_for_selector("body[data-ready]")
    return page


async def told(page: Page, text: str) -> None:
    """Waits until the topmost call shows that Heap was told this."""
    shown = page.locator("#calls li:first-child .told code", has_text=text)
    await shown.wait_for(timeout=SETTLES_WITHIN_S * 1000)
