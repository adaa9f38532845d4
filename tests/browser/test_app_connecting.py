"""Connecting Heap in Chromium, over a running server and a sandbox: what a person sees, and what Heap received."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPConnection
from time import monotonic
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
import pytest_asyncio
from app_house import NAME, PASSWORD, AppHouse, reading, sideways_px, violations
from pages import chromium, needs_chromium
from playwright.async_api import Browser, Page, ViewportSize, expect

from heap_view import Heap
from processes import Gateway, run

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

_WORKSPACE = """\
sources:
  - {{slug: website, name: Website, type: website, writeKeys: [wk_website_0123456789]}}
  - {{slug: ios, name: iOS, type: mobile, writeKeys: [wk_ios]}}
  - {{slug: web, name: Web, type: website, writeKeys: [wk_web]}}
  - {{slug: kiosk, name: Kiosk, type: website, writeKeys: [wk_kiosk]}}
  - {{slug: till, name: Till, type: server, writeKeys: [wk_till]}}
  - {{slug: shop, name: Shop, type: website, writeKeys: [wk_shop]}}
destinations:
  - slug: staging
    name: Heap staging
    sourceId: ios
    settings: {{appId: "1001", apiBaseUrl: "{heap}"}}
  - slug: page
    name: Heap in the page
    sourceId: shop
    connectionMode: device
    settings: {{appId: "1002", apiBaseUrl: "{heap}"}}
"""
PATHS = (
    "/catalog",
    "/catalog?q=nothing",
    "/catalog/heap",
    "/connect?destination=heap&source=website",
    "/connect?new=on",
    "/destinations",
    "/destinations/staging/settings",
    "/destinations/staging/disable",
    "/destinations/staging/delete",
    "/destinations/staging/mapping",
    "/destinations/staging/tester",
    "/destinations/staging/tester?sample=traits",
    "/destinations/page/settings",
    "/destinations/page/tester",
)
SNIPPET_LINE = 'heap.load("1535634150");'
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
    """With an owner, an app that is connected to the sandbox, and a website that is not connected yet."""
    folder = tmp_path_factory.mktemp("connect")
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


def sent(house: AppHouse, key: str, body: str) -> None:
    """One message, as a library sends it."""
    line = HTTPConnection("127.0.0.1", house.gateway.port, timeout=10)
    headers = {"Content-Type": "application/json"}
    message = json.loads(body) | {"writeKey": key}
    line.request("POST", f"/v1/{message['type']}", json.dumps(message), headers)
    assert line.getresponse().status == 200
    line.close()


def journal(heap: Heap) -> str:
    """What Heap was sent, to the byte."""
    with urlopen(f"{heap.url}/journal") as answer:
        return str(answer.read().decode())


async def preview_of(page: Page) -> str:
    """The body that would be sent, as copying gives it."""
    return await page.locator("#body-request-to-heap").text_content() or ""


async def test_a_website_is_connected_in_four_clicks_and_heap_answers(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """Catalog, Heap, Connect, the button; the answer is there within three seconds, and Heap has the event."""
    async with reading(browser, house) as reader:
        page = await reader.open("/")
        rail = page.get_by_role("navigation", name="Main")
        await rail.get_by_role("link", name="Catalog").click()
        await page.get_by_role("main").get_by_role("link", name=re.compile("^Heap")).click()
        await page.get_by_role("link", name="Connect", exact=True).click()
        assert "/connect?destination=heap" in page.url
        await page.goto(f"{page.url}&source=website")  # the only one where there is one
        await page.get_by_label("App ID", exact=True).fill(SNIPPET_LINE)
        identity = await page.get_by_label("Test identity", exact=True).input_value()
        began = monotonic()
        await page.get_by_role("button", name="Use the sandbox Heap").click()
        answer = page.locator("[data-outcome=delivered]")
        await expect(answer).to_contain_text(re.compile(r"Heap answered\s+200\s+in \d+ ms"))
        assert monotonic() - began < 3
        assert heap.event_names(identity) == ["Headgate Test"]
        assert heap.ask("GET", f"/users/{identity}")["app_id"] == "1535634150"
        link = answer.get_by_role("link", name="open the message")
        assert (await link.get_attribute("href") or "").startswith("/messages/headgate-test-")
        assert await violations(page) == []
        assert reader.complaints == []
        assert reader.elsewhere == []
    exported = run("export", "--data-dir", house.gateway.data_dir).stdout
    assert 'appId: "1535634150"' in exported or "appId: '1535634150'" in exported


async def test_connecting_by_keyboard_alone(house: AppHouse, browser: Browser, heap: Heap) -> None:
    """From the catalog's search to Heap's answer; focus is seen at each stop."""
    async with reading(browser, house) as reader:
        page = await reader.open("/catalog")
        await expect(page.get_by_label("Search the catalog")).to_be_focused()
        await tab_to(page, "Heap")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/catalog/heap")
        await tab_to(page, "Connect")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/connect?*")
        await expect(page.get_by_label("App ID", exact=True)).to_be_focused()
        await page.keyboard.type("1003")
        for _ in range(10):
            await page.keyboard.press("Shift+Tab")
            if await focused(page) == "from.kiosk":
                break
        await page.keyboard.press("Space")
        await expect(page.get_by_label("Kiosk website")).to_be_checked()
        await tab_to(page, "Use the sandbox Heap")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-outcome=delivered]")).to_contain_text("Heap answered")
        assert reader.complaints == []


async def focused(page: Page) -> str:
    """The name of the field that has focus."""
    return str(await page.evaluate("document.activeElement.name || ''"))


async def tab_to(page: Page, text: str) -> None:
    """Presses Tab until what has focus begins with the text; each stop has a ring around it."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        outline, words = await page.evaluate(
            "(one => [getComputedStyle(one).outline, one.innerText || ''])(document.activeElement)"
        )
        assert "2px" in outline and "solid" in outline, words
        if words.strip().startswith(text):
            return
    raise AssertionError(f"Tab does not lead to {text!r}")


async def test_a_source_that_is_sending_is_asked_about(house: AppHouse, browser: Browser) -> None:
    """Going back loses nothing that was typed."""
    sent(house, "wk_web", '{"type": "track", "event": "E", "userId": "u"}')
    async with reading(browser, house) as reader:
        page = await reader.open("/connect?source=web")
        await page.get_by_label("App ID", exact=True).fill("1005")
        await page.get_by_label("EU").check()
        await page.get_by_role("button", name="Enable only").click()
        await expect(page.get_by_text("Less than a message a minute will start")).to_be_visible()
        await expect(page.get_by_role("link", name="Cancel")).to_be_focused()
        assert await violations(page) == []
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("App ID", exact=True)).to_have_value("1005")
        await expect(page.get_by_label("EU")).to_be_checked()
        await expect(page.get_by_label("Web website")).to_be_checked()
        assert reader.complaints == []


async def test_a_form_tells_what_it_makes_of_what_is_typed(
    house: AppHouse, browser: Browser
) -> None:
    """A missing App ID is refused at the field, a pasted line understood, the request shown as it will be."""
    async with reading(browser, house) as reader:
        page = await reader.open("/connect?source=website")
        field = page.get_by_label("App ID", exact=True)
        await field.fill("my app")
        problem = page.locator("[data-problem='settings.appId']")
        await expect(problem).to_contain_text("Expected digits")
        assert await violations(page) == []
        await field.fill(SNIPPET_LINE)
        await expect(problem).to_be_empty()
        await expect(page.get_by_text("Looks like an App ID.")).to_be_visible()
        await page.get_by_text("What Heap will receive").click()
        await page.get_by_label("Test identity").fill("somebody-new")
        await expect(page.locator("#body-request-to-heap")).to_contain_text('"somebody-new"')
        assert '"app_id":"1535634150"' in await preview_of(page)
        await field.fill("")
        await page.get_by_role("button", name="Enable only").click()
        await expect(problem).to_contain_text("found nothing")
        await expect(page.get_by_label("Test identity")).to_have_value("somebody-new")
        assert await violations(page) == []
        assert [one for one in reader.complaints if "422" not in one] == []


async def test_the_preview_is_to_the_byte_what_delivery_sends(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """Previewing sends nothing, however much is typed; then the same message is delivered."""
    message = {
        "type": "track",
        "messageId": "byte-for-byte",
        "userId": "u-bytes",
        "event": "Größe \u202e<b>",
        "timestamp": "2026-11-20T10:00:00+01:00",
        "properties": {"a": {"b": [1, {"c": None}]}, "n": 9007199254740993, "f": 1.10, "x": None},
    }
    async with reading(browser, house) as reader:
        page = await reader.open("/destinations/staging/tester")
        before = len(heap.journal())
        await page.get_by_label("A call as a library sends it").fill(json.dumps(message))
        await expect(page.locator("#body-request-to-heap")).to_contain_text("byte-for-byte")
        await expect(page.locator(".changes")).to_contain_text("list became text")
        typed = await preview_of(page)
        assert len(heap.journal()) == before
        sent(house, "wk_ios", json.dumps(message))
        heap.until(lambda: heap.event_names("u-bytes"))
        assert f'"body":{typed}' in journal(heap)
        await page.goto(f"{house.url}/destinations/staging/tester?message=byte-for-byte")
        assert await preview_of(page) == typed
        assert await violations(page) == []
        assert reader.complaints == []


async def test_a_test_is_sent_after_one_question_and_heaps_answer_shows(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """For the test identity; the second time in a session nobody is asked."""
    async with reading(browser, house) as reader:
        page = await reader.open("/destinations/staging/tester?sample=order")
        identity = await page.get_by_label("Test identity", exact=True).input_value()
        await page.get_by_role("button", name="Send to Heap").click()
        await expect(page.get_by_role("link", name="Cancel")).to_be_focused()
        assert await violations(page) == []
        await page.get_by_role("button", name="Send to Heap").click()
        answer = page.locator("[data-outcome=delivered]")
        await expect(answer).to_contain_text("test")
        await expect(answer).to_contain_text(re.compile(r"Heap answered\s+200"))
        assert heap.event_names(identity) == ["Order Completed"]
        assert await violations(page) == []
        shown = parse_qs(urlsplit(page.url).query)["message"][0]
        assert shown.startswith("headgate-test-")
        second = await page.get_by_label("Test identity", exact=True).input_value()
        await page.get_by_role("button", name="Send to Heap").click()
        await page.wait_for_url(lambda url: "message=headgate-test-" in url and shown not in url)
        heap.until(lambda: heap.event_names(second) == ["Order Completed"])
        assert reader.complaints == []


async def test_without_scripts_heap_is_connected_switched_off_and_tried(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """Every question is a page; the answer comes by itself there, too."""
    async with reading(browser, house, java_script_enabled=False, viewport=NARROW) as reader:
        page = await reader.open("/connect?source=till")
        await page.get_by_label("App ID", exact=True).fill("1004")
        await page.get_by_text("More: name").click()
        await page.get_by_label("Slug").fill("counter")
        await page.get_by_role("button", name="Use the sandbox Heap").click()
        await expect(page.locator("[data-outcome=delivered]")).to_contain_text("Heap answered")
        await page.goto(f"{house.url}/destinations/counter/tester")
        await page.get_by_label("A call as a library sends it").fill(
            '{"type": "page", "userId": "u"}'
        )
        await page.get_by_role("button", name="Preview").click()
        await expect(page.get_by_text("It would be discarded.")).to_be_visible()
        await page.goto(f"{house.url}/destinations/counter/settings")
        await page.get_by_role("link", name="Disable").click()
        await page.get_by_role("button", name="Disable the destination").click()
        await page.goto(f"{house.url}/destinations/counter/settings")
        await expect(page.get_by_text("Disabled", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Enable").click()
        await page.get_by_role("button", name="Enable the destination").click()
        await page.goto(f"{house.url}/destinations/counter/delete")
        await page.get_by_label("Type counter to delete it").fill("counter")
        await page.get_by_role("button", name="Delete the destination").click()
        await expect(page.get_by_role("link", name="Heap staging")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_page_is_for_everybody(house: AppHouse, browser: Browser, theme: str) -> None:
    """No violation that axe finds, no complaint, no request elsewhere; narrow pages do not scroll sideways."""
    async with reading(browser, house, color_scheme=theme, viewport=WIDE) as reader:
        page = await reader.open("/")
        for path in PATHS:
            answer = await page.goto(house.url + path)
            assert answer is not None
            assert answer.status == 200, path
            assert await violations(page) == [], path
            assert await page.locator("h1").count() == 1, path
            await page.set_viewport_size(NARROW)
            assert await sideways_px(page) == 0, path
            await page.set_viewport_size(WIDE)
        assert reader.complaints == []
        assert reader.elsewhere == []
