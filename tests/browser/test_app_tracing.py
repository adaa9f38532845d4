"""Messages in Chromium, over a running server and a sandbox: found, told whole, shown inert."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from app_house import NAME, PASSWORD, AppHouse, reading, sideways_px, violations
from pages import chromium, needs_chromium
from playwright.async_api import Browser, expect

from heap_view import Heap
from processes import Gateway, eventually

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

_WORKSPACE = """\
sources:
  - {{slug: website, name: Website, type: website, writeKeys: [wk_website]}}
destinations:
  - {{slug: heap, name: Heap, sourceId: website, settings: {{appId: "1001", apiBaseUrl: "{heap}"}}}}
"""
HOSTILE = '<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>\u202e '
HOSTILE_ID = "a/b?<i>#\u202e%41"
LARGE = 9007199254740993  # 2^53 + 1
TRACE = f"/messages/{quote(HOSTILE_ID, safe='')}"
PATHS = (
    "/messages",
    "/messages?user=nobody",
    "/messages?source=nowhere",
    "/messages/first",
    "/messages/refused",
    "/messages/nowhere",
    TRACE,
    "/search",
    "/search?q=web",
    "/search?q=zzz",
)
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 800}


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
    """With an owner; Heap has taken what was sent."""
    folder = tmp_path_factory.mktemp("messages")
    config = folder / "headgate.yaml"
    config.write_text(_WORKSPACE.format(heap=heap.url))
    with Gateway(folder / "data", config) as gateway:
        one = AppHouse(gateway)
        send(one, messageId="first", userId="ann", event="Bought", properties={"n": LARGE})
        text = {"text": "y" * 30_000, HOSTILE: HOSTILE}
        send(one, messageId=HOSTILE_ID, userId=HOSTILE, event=HOSTILE, properties=text)
        send(one, messageId="refused", event="Nobody's")
        link = one.first_link()
        assert link is not None
        async with reading(browser, one) as reader:
            page = await reader.open(link.removeprefix(one.url))
            await page.get_by_label("Name").fill(NAME)
            await page.get_by_label("Password").fill(PASSWORD)
            await page.keyboard.press("Enter")
            await page.wait_for_url(f"{one.url}/")
            one.state = await reader.context.storage_state()
        eventually(lambda: len(heap.user("ann")["events"]) == 1, 20.0)
        yield one


def send(house: AppHouse, **message: Any) -> None:
    """A track call, as a library sends it."""
    send_to(house, "/v1/track", message)


def send_to(house: AppHouse, path: str, body: dict[str, Any]) -> None:
    """A request to a door."""
    line = HTTPConnection("127.0.0.1", house.gateway.port, timeout=10)
    text = json.dumps(body | {"writeKey": "wk_website"})
    line.request("POST", path, text, {"Content-Type": "application/json"})
    assert line.getresponse().status == 200
    line.close()


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
async def test_every_page_is_for_everybody_and_runs_nothing_that_it_shows(
    house: AppHouse, browser: Browser, size: dict[str, int]
) -> None:
    """In both themes: nothing that axe finds, no sideways scroll, no request elsewhere."""
    for theme in ("light", "dark"):
        async with reading(browser, house, viewport=size, color_scheme=theme) as reader:
            page = await reader.context.new_page()
            for path in PATHS:
                await page.goto(house.url + path)
                assert await violations(page) == [], (path, theme)
                assert await sideways_px(page) == 0, (path, theme)
                assert await page.evaluate("window.stolen") is None, path
            unexpected = [one for one in reader.complaints if "Failed to load resource" not in one]
            assert (unexpected, reader.elsewhere) == ([], [])


async def test_an_id_from_the_clipboard_leads_to_the_whole_story(
    house: AppHouse, browser: Browser
) -> None:
    """By keyboard alone: what arrived, what was sent, what Heap answered; the number to the digit."""
    async with reading(browser, house) as reader:
        page = await reader.open("/")
        await page.keyboard.press("/")
        await page.keyboard.type("first")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/messages/first?position=1")
        await expect(page.get_by_role("heading", level=1)).to_have_text("track Bought")
        await expect(page.locator('[data-outcome="delivered"]')).to_contain_text(
            "Delivered to Heap"
        )
        for name in ("What arrived", "What was sent to Heap"):
            body = page.get_by_role("group", name=name)
            pretty = body.get_by_role("region", name=f"{name}, pretty")
            await expect(pretty).to_contain_text(str(LARGE))
            await body.get_by_role("radio", name="Raw").check()
            await expect(pretty).to_be_hidden()
            await expect(body.get_by_role("region", name=f"{name}, raw")).to_contain_text(
                str(LARGE)
            )
        await expect(page.get_by_role("group", name="What Heap answered")).to_be_visible()


async def test_a_story_is_read_without_scripts(house: AppHouse, browser: Browser) -> None:
    """From the list; both views of a body too."""
    async with reading(browser, house, java_script_enabled=False) as reader:
        page = await reader.open("/messages?event=Bought")
        await page.get_by_role("row", name="Bought").get_by_role("link").click()
        body = page.get_by_role("group", name="What arrived")
        await expect(body.get_by_role("region")).to_contain_text('"messageId": "first"')
        await body.get_by_role("radio", name="Raw").check()
        await expect(body.get_by_role("region")).to_contain_text('"first", "userId"')


async def test_what_is_copied_is_exact(house: AppHouse, browser: Browser) -> None:
    """Though the page shows codes for what cannot be seen."""
    permissions = ["clipboard-read", "clipboard-write"]
    async with reading(browser, house, permissions=permissions) as reader:
        page = await reader.open(TRACE)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("U+202E·")
        await page.get_by_role("button", name="Copy: What arrived").click()
        await expect(page.get_by_role("button", name="Copy: What arrived")).to_have_text("Copied")
        copied = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert (copied["messageId"], copied["event"]) == (HOSTILE_ID, HOSTILE)
        await page.keyboard.press("c")
        await expect(page.locator("button[data-copy=message-id]")).to_have_text("Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == HOSTILE_ID


async def test_a_list_grows_once_and_then_has_pages(house: AppHouse, browser: Browser) -> None:
    """So that no page has more than two hundred rows, however long the list is."""
    for _ in range(3):
        batch = [{"type": "track", "userId": "many", "event": "Many"} for _ in range(80)]
        send_to(house, "/v1/batch", {"batch": batch})
    async with reading(browser, house, viewport=WIDE) as reader:
        page = await reader.open("/messages?event=Many")
        rows = page.locator("#rows > tr")
        await expect(rows).to_have_count(100)
        await page.get_by_role("link", name="Load more").scroll_into_view_if_needed()
        await expect(rows).to_have_count(200)
        await page.get_by_role("link", name="Load more").click()
        await page.wait_for_url("**/messages?event=Many&before=*")
        await expect(rows).to_have_count(40)
        await page.get_by_role("link", name="Back to the newest").click()
        await expect(rows).to_have_count(100)
        assert reader.complaints == []


async def test_what_happens_is_shown_while_it_happens(
    house: AppHouse, heap: Heap, browser: Browser
) -> None:
    """An attempt that Heap had no time for, and the one that it takes, with no reload."""
    async with reading(browser, house) as reader:
        heap.play({"answer": {"status": 503, "body": "busy"}})
        send(house, messageId="later", userId="bob", event="Bought")
        page = await reader.open("/messages/later")
        tried = re.compile(r"after \d+ attempts?$", re.MULTILINE)
        await expect(page.locator('[data-outcome="pending"]')).to_contain_text(tried)
        raw = page.get_by_role("group", name="What arrived").get_by_role("radio", name="Raw")
        await raw.check()
        heap.play()
        await expect(page.locator('[data-outcome="delivered"]')).to_contain_text(tried)
        await expect(raw).to_be_checked()


async def test_personal_values_are_hidden_at_a_click(house: AppHouse, browser: Browser) -> None:
    """In the menu, by everybody, for this browser; the page stays where it is."""
    send(
        house, messageId="ana", userId="ana", event="Bought", properties={"email": "ana@x.example"}
    )
    async with reading(browser, house) as reader:
        page = await reader.open("/messages/ana?source=website")
        await expect(page.get_by_role("group", name="What arrived")).to_contain_text(
            "ana@x.example"
        )
        await page.get_by_role("banner").get_by_text(NAME, exact=True).click()
        await page.get_by_role("button", name="Mask personal values").click()
        await page.wait_for_url("**/messages/ana?source=website")
        await expect(page.get_by_role("group", name="What arrived")).to_contain_text('"•••"')
        assert "ana@x.example" not in await page.content()
