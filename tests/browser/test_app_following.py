"""What moves by itself in Chromium, over a running server and a sandbox: the debugger, parts of pages, the bar."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPConnection
from itertools import count
from time import monotonic, sleep
from typing import Any

import pytest
import pytest_asyncio
from app_house import NAME, PASSWORD, AppHouse, reading, sideways_px, violations
from pages import chromium, needs_chromium
from playwright.async_api import Browser, Page, expect

from heap_view import Heap
from processes import Gateway

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

_WORKSPACE = """\
sources:
  - {{slug: website, name: Website, type: website, writeKeys: [wk_website]}}
  - {{slug: quiet, name: Quiet, type: server, writeKeys: [wk_quiet]}}
destinations:
  - slug: heap
    name: Heap production
    sourceId: website
    settings: {{appId: "1001", apiBaseUrl: "{heap}", limits: {{eventsPerMinute: 0, eventsPerMinutePerUser: 0}}}}
"""
DEBUGGER = "/sources/website/debugger"
PATHS = (
    DEBUGGER,
    f"{DEBUGGER}?at=1",
    f"{DEBUGGER}/r1",
    "/sources/quiet/debugger",
    "/sources/website/refused",
    "/sources/quiet/install",
    "/help/keys",
)
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 800}
HOSTILE = '<img src=x onerror="window.stolen=1"> '
FLOOD_S = 4
_numbers = count()

_MEASURE = """() => {
  window.tasks = []; window.rows = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask" });
  new MutationObserver((list) => {
    for (const change of list) for (const node of change.addedNodes) window.rows.push([performance.now(), node.id]);
  }).observe(document.querySelector("#calls tbody"), { childList: true });
}"""
_HIDE = """() => {
  Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


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
    """With an owner; a call has been taken in and one refused."""
    folder = tmp_path_factory.mktemp("live")
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
        send(one, {"event": HOSTILE}, {"userId": None, "event": "Nobody's"})
        yield one


def send(house: AppHouse, *messages: dict[str, Any], key: str = "wk_website") -> list[str]:
    """A batch of track calls, as a library sends it; their messageIds."""
    usual = {"type": "track", "event": "Clicked", "userId": "ann"}
    batch = [usual | {"messageId": f"live-{next(_numbers)}"} | one for one in messages]
    line = HTTPConnection("127.0.0.1", house.gateway.port, timeout=10)
    body = json.dumps({"writeKey": key, "batch": batch})
    line.request("POST", "/v1/batch", body, {"Content-Type": "application/json"})
    assert line.getresponse().status == 200
    line.close()
    return [str(one["messageId"]) for one in batch]


def flood(house: AppHouse, took_s: list[float]) -> None:
    """A thousand calls a second, or as many as the machine can, one in a thousand by the user needle."""
    started = monotonic()
    for number in range(FLOOD_S * 20):
        sleep(max(0, started + number / 20 - monotonic()))
        needle = [{"userId": "needle"}] if number % 20 == 0 else [{}]
        send(house, *needle, *[{}] * 49)
    took_s.append(monotonic() - started)


async def live(page: Page, state: str = "on", **options: Any) -> None:
    """Waits until the page's line stands like this."""
    await expect(page.locator("[data-live]")).to_have_attribute("data-live", state, **options)


async def ids(page: Page) -> list[str]:
    """The messageIds of the rows that are shown."""
    found: list[str] = await page.locator("#calls tbody tr").evaluate_all(
        "rows => rows.map(row => row.dataset.id)"
    )
    return found


async def test_a_call_shows_up_and_then_its_outcome(house: AppHouse, browser: Browser) -> None:
    """By itself; a refused one with its reason. Opened, it shows what was sent and answered."""
    async with reading(browser, house) as reader:
        page = await reader.open(DEBUGGER)
        await live(page)
        (sent,) = send(house, {"event": "Order Completed"})
        row = page.locator(f'tr[data-id="{sent}"]')
        await expect(row).to_be_visible(timeout=2_000)
        await expect(row.locator("[data-outcome=delivered]")).to_be_visible()
        (refused,) = send(house, {"userId": None, "event": "Without ids"})
        row_of_refused = page.locator(f'tr[data-id="{refused}"]')
        await expect(row_of_refused).to_contain_text("Refused", timeout=2_000)
        await row_of_refused.locator("a.row").click()
        pane = page.locator("#call")
        await expect(pane).to_contain_text("neither a userId nor an anonymousId")
        await row.locator("a.row").click()
        await expect(pane.get_by_role("heading")).to_be_focused()
        await expect(pane).to_contain_text("Answer of Heap production: 200")
        await page.reload()
        await expect(page.locator("#call")).to_contain_text("Answer of Heap production: 200")
        assert await violations(page) == []
        await page.go_back()
        await expect(page.locator("#call")).to_contain_text("neither a userId nor an anonymousId")
        assert reader.complaints == []


async def test_a_list_that_somebody_stands_on_holds_still(
    house: AppHouse, browser: Browser
) -> None:
    """The row keeps focus and place; what comes is counted, and there when it is asked for."""
    async with reading(browser, house) as reader:
        page = await reader.open(DEBUGGER)
        await live(page)
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        row = page.locator("#calls tr:has(a:focus)")
        name, before = await row.get_attribute("id"), await row.bounding_box()
        sent = send(house, *[{}] * 5)
        await expect(page.get_by_role("button", name="Show 5 newer")).to_be_visible()
        assert await row.get_attribute("id") == name
        after = await row.bounding_box()
        assert before and after and after["height"] == before["height"]
        assert not set(sent) & set(await ids(page))
        await page.get_by_role("button", name="Show 5 newer").click()
        await expect(page.locator(f'tr[data-id="{sent[-1]}"]')).to_be_visible()
        assert set(sent) <= set(await ids(page))


async def test_everything_that_came_during_a_pause_can_be_reached(
    house: AppHouse, browser: Browser
) -> None:
    """Three hundred calls, from the log, a hundred at a time, never more than 200 in the page."""
    async with reading(browser, house) as reader:
        page = await reader.open(DEBUGGER)
        await live(page)
        await page.keyboard.press("p")
        await live(page, "paused")
        sent = set(send(house, *[{}] * 300))
        await expect(page.get_by_role("button", name="Show 300 newer")).to_be_visible()
        await page.keyboard.press("p")
        await live(page)
        found: set[str] = set()
        for _ in range(5):
            shown = await ids(page)
            assert len(shown) <= 200
            found |= set(shown)
            if sent <= found:
                break
            last = shown[-1]
            await page.get_by_role("link", name="Load earlier").click()
            await page.wait_for_function(
                "last => document.querySelector('#calls tbody').lastElementChild.dataset.id !== last",
                arg=last,
            )
        assert sent <= found
        assert reader.complaints == []


async def test_a_thousand_calls_a_second_do_not_trouble_the_page(
    house: AppHouse, browser: Browser
) -> None:
    """Few rows a second, no long task, the true rate, clicks answered; with a filter every needle is shown."""
    async with reading(browser, house) as reader:
        page, filtered = await reader.open(DEBUGGER), await reader.open(f"{DEBUGGER}?q=user:needle")
        for one in (page, filtered):
            await live(one)
            await one.evaluate(_MEASURE)
        took_s: list[float] = []
        flooding = threading.Thread(target=flood, args=(house, took_s))
        flooding.start()
        await asyncio.sleep(FLOOD_S - 0.5)
        rate = float(await page.locator("[data-rate]").get_attribute("data-count") or 0)
        clicked = monotonic()
        await page.locator("#calls a.row").first.dispatch_event("click")
        await expect(page.locator("#call").get_by_role("heading")).to_be_focused()
        answered_s = monotonic() - clicked
        await asyncio.to_thread(flooding.join)
        await expect(filtered.locator("#calls tbody tr")).to_have_count(FLOOD_S)
        rows = [int(at // 1000) for at, _ in await page.evaluate("window.rows")]
        assert rows
        assert max(rows.count(second) for second in rows) <= 25
        assert [one for one in await page.evaluate("window.tasks") if one > 250] == []
        assert rate == pytest.approx(FLOOD_S * 1_000 / took_s[0], rel=0.3)
        assert answered_s < 2


async def test_a_part_changes_around_what_somebody_has_marked(
    house: AppHouse, browser: Browser
) -> None:
    """The text that is selected stays until it is let go; then the news are there."""
    async with reading(browser, house) as reader:
        page = await reader.open("/sources/quiet/refused")
        await live(page)
        send(house, {"userId": None}, key="wk_quiet")
        total = page.locator("#reason-no_ids [data-count]")
        await expect(total).to_have_text("1")
        await total.evaluate("cell => getSelection().selectAllChildren(cell)")
        send(house, {"userId": None}, key="wk_quiet")
        await expect(page.locator("#by-reason")).to_have_text("2 refused")
        assert await page.evaluate("String(getSelection())") == "1"
        await page.evaluate("getSelection().removeAllRanges()")
        await expect(total).to_have_text("2")


async def test_the_lines_to_paste_tell_when_the_first_call_comes(
    house: AppHouse, browser: Browser
) -> None:
    """Without a reload."""
    async with reading(browser, house) as reader:
        page = await reader.open("/sources/quiet/install")
        await expect(page.locator("#snippet")).to_contain_text(house.gateway.url)
        await expect(page.locator("#part-arrived")).to_contain_text("was refused")
        await live(page)
        send(house, {"event": "Hello"}, key="wk_quiet")
        await expect(page.locator("#part-arrived")).to_contain_text("Hello")


@pytest.mark.parametrize(("theme", "size"), [("light", WIDE), ("dark", NARROW)])
async def test_every_page_is_for_everybody(
    house: AppHouse, browser: Browser, theme: str, size: dict[str, int]
) -> None:
    """Filled and empty; what a call says runs nowhere."""
    async with reading(browser, house, color_scheme=theme, viewport=size) as reader:
        page = await reader.open("/")
        for path in PATHS:
            await page.goto(house.url + path)
            assert await violations(page) == [], path
            assert await sideways_px(page) == 0, path
            assert await page.evaluate("window.stolen") is None
        assert reader.complaints == []
        assert reader.elsewhere == []


async def test_keys_lead_everywhere_and_can_be_switched_off(
    house: AppHouse, browser: Browser
) -> None:
    """They never act in a field."""
    async with reading(browser, house) as reader:
        page = await reader.open("/")
        await page.keyboard.press("g")
        await page.keyboard.press("s")
        await expect(page).to_have_url(f"{house.url}/sources")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("k")
        await expect(page.get_by_role("link", name="Website")).to_be_focused()
        await page.keyboard.press("?")
        await expect(page).to_have_url(f"{house.url}/help/keys")
        await page.get_by_role("button", name="Switch the keys off").click()
        await page.goto(f"{house.url}/sources")
        await page.keyboard.press("j")
        await expect(page.get_by_role("link", name="Website")).not_to_be_focused()
        await page.goto(f"{house.url}/help/keys")
        await page.get_by_role("button", name="Switch the keys on").click()
        await page.goto(house.url + DEBUGGER)
        await page.get_by_label("Filter", exact=True).press_sequentially("jgs?p/")
        await expect(page.get_by_label("Filter", exact=True)).to_have_value("jgs?p/")


async def test_times_are_shown_in_the_zone_of_choice(house: AppHouse, browser: Browser) -> None:
    """In UTC until somebody wants their own; remembered, and so is what comes later."""
    async with reading(browser, house, timezone_id="Asia/Tokyo", locale="en-GB") as reader:
        page = await reader.open("/sources/website/refused")
        time = page.locator("time").first
        before = await time.inner_text()
        assert before.endswith("UTC")
        await page.get_by_role("button", name="UTC").click()
        await expect(page.get_by_role("button", name="Local time")).to_be_visible()
        await expect(time).not_to_have_text(before)
        await page.reload()
        assert not (await time.inner_text()).endswith("UTC")


async def test_ten_tabs_stay_quick_and_a_hidden_one_keeps_no_line(
    house: AppHouse, browser: Browser
) -> None:
    """Four have a line, the others are told and ask now and then; one that nobody sees gives its line up."""
    async with reading(browser, house) as reader:
        pages = []
        for _ in range(10):
            started = monotonic()
            pages.append(await reader.open("/sources/website/refused"))
            assert monotonic() - started < 3
        for page in pages[:4]:
            await live(page)
        for page in pages[4:]:
            await live(page, "busy")
        started = monotonic()
        await pages[9].goto(house.url + DEBUGGER)
        assert monotonic() - started < 3
        await pages[0].evaluate(_HIDE)
        await live(pages[0], "paused", timeout=7_000)
        page = await reader.open("/sources")
        await live(page)


async def test_a_server_that_is_gone_is_seen_and_found_again(
    house: AppHouse, browser: Browser
) -> None:
    """Off within 3 s, with the age of what is shown; then live again without a reload, nothing missing or twice."""
    async with reading(browser, house) as reader:
        page = await reader.open(DEBUGGER)
        await live(page)
        before = send(house, {"event": "Before"})
        await expect(page.locator(f'tr[data-id="{before[0]}"]')).to_be_visible()
        await page.evaluate("window.isTheSame = true")
        old = house.gateway
        old.close()
        await live(page, "off", timeout=3_000)
        await expect(page.locator("[data-live] .age")).to_contain_text("s ago")
        assert await violations(page) == []
        with Gateway(old.data_dir, port=old.port, app_port=old.app_port):
            sent = send(house, {"event": "After"}, {"event": "After"})
            await live(page, timeout=10_000)
            await expect(page.locator(f'tr[data-id="{sent[0]}"]')).to_be_visible()
            sent += send(house, {"event": "Later"})
            await expect(page.locator(f'tr[data-id="{sent[2]}"]')).to_be_visible()
            shown = await ids(page)
            assert len(shown) == len(set(shown))
            assert {*before, *sent} <= set(shown)
            assert await page.evaluate("window.isTheSame")
