"""Audiences and people in Chromium, over a running server and a sandbox: what a person sees, what Heap holds."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from app_house import NAME, PASSWORD, AppHouse, reading, sideways_px, violations
from pages import chromium, needs_chromium
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect

from heap_view import Heap
from processes import Gateway, eventually

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

_WORKSPACE = """\
sources:
  - {{slug: website, name: Website, type: website, writeKeys: [wk_website]}}
destinations:
  - {{slug: heap, name: Heap, sourceId: website, settings: {{appId: "1001", apiBaseUrl: "{heap}"}}}}
engage:
  audiences:
    - name: Buyers
      definition: event('Bought').within(30 days).count() >= 2 AND trait('plan') = 'pro'
      destinations: [heap]
    - name: Here now
      definition: event('Ping').within(6 seconds).count() >= 1
      includeAnonymous: true
      destinations: [heap]
    - {{name: Asleep, definition: trait('plan') = 'free', enabled: false}}
  computedTraits:
    - {{name: Spent, definition: "event('Bought').sum(property('total'))", destinations: [heap]}}
"""
HOSTILE = '<img src=x onerror="window.stolen=1">\u202e '
PATHS = (
    "/audiences",
    "/audiences/buyers",
    "/audiences/buyers/members",
    "/audiences/buyers/members?among=left",
    "/audiences/buyers/check",
    "/audiences/buyers/check?person=ann",
    "/audiences/buyers/check?person=nobody",
    "/audiences/buyers/disable",
    "/audiences/buyers/resync",
    "/audiences/buyers/delete",
    "/audiences/asleep",
    "/audiences/nothing",
    "/audiences/new",
    "/audiences/buyers/edit",
    "/traits/new",
    "/traits",
    "/traits/spent",
    "/traits/spent/members",
    "/profiles",
    "/profiles?q=zzz",
    "/profiles/user_id:ann?history=1",
    "/profiles/-/suppress?user=ann",
    "/profiles/-/delete?user=ann",
)
NARROW: ViewportSize = {"width": 320, "height": 640}
WIDE: ViewportSize = {"width": 1280, "height": 800}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PASSES_WITHIN_MS = 20_000  # the window of six seconds


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
    """With an owner; ann and bob have bought, of whom Heap knows."""
    folder: Path = tmp_path_factory.mktemp("audiences")
    config = folder / "headgate.yaml"
    config.write_text(_WORKSPACE.format(heap=heap.url))
    with Gateway(folder / "data", config) as gateway:
        one = AppHouse(gateway)
        for user, plan in (("ann", "pro"), ("bob", "pro"), ("cem", "free"), (HOSTILE, HOSTILE)):
            send(one, type="identify", userId=user, traits={"plan": plan})
            for _ in range(2):
                send(one, type="track", event="Bought", userId=user, properties={"total": 5})
        link = one.first_link()
        assert link is not None
        async with reading(browser, one) as reader:
            page = await reader.open(link.removeprefix(one.url))
            await page.get_by_label("Name").fill(NAME)
            await page.get_by_label("Password").fill(PASSWORD)
            await page.keyboard.press("Enter")
            await page.wait_for_url(f"{one.url}/")
            one.state = await reader.context.storage_state()
        for user in ("ann", "bob"):
            eventually(partial(holds, heap, user, buyers=True), 20.0)
        yield one


def send(house: AppHouse, **message: Any) -> None:
    """One message, as a library sends it."""
    line = HTTPConnection("127.0.0.1", house.gateway.port, timeout=10)
    body = json.dumps(message | {"writeKey": "wk_website"})
    line.request("POST", f"/v1/{message['type']}", body, {"Content-Type": "application/json"})
    assert line.getresponse().status == 200
    line.close()


def held(heap: Heap, user: str) -> dict[str, Any]:
    """The properties of a user at Heap."""
    properties: dict[str, Any] = heap.user(user)["properties"]
    return properties


def holds(heap: Heap, user: str, **properties: bool) -> bool:
    """Whether Heap holds this of a user."""
    found = held(heap, user)
    return all(found.get(name) is value for name, value in properties.items())


def row_of(page: Page, person: str) -> Locator:
    """The row of somebody in a list."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=person, exact=True))


async def test_every_page_is_for_everybody(house: AppHouse, browser: Browser) -> None:
    """In both themes nothing that axe finds; no sideways scroll at 320 px, no complaint, no request elsewhere."""
    async with reading(browser, house) as reader:
        page = await reader.open("/audiences")
        for path in PATHS:
            await page.set_viewport_size(WIDE)
            await page.goto(house.url + path)
            for theme in THEMES:
                await page.emulate_media(color_scheme=theme)
                assert await violations(page) == [], (path, theme)
            await page.set_viewport_size(NARROW)
            assert await sideways_px(page) == 0, path
        missing = [one for one in reader.complaints if "404" not in one]
        assert (missing, reader.elsewhere) == ([], [])


async def test_a_member_has_evidence_and_somebody_else_a_condition_that_fails(
    house: AppHouse, browser: Browser
) -> None:
    """The list links to the message and to Heap's answer; a check marks what fails, with what there is."""
    async with reading(browser, house) as reader:
        page = await reader.open("/audiences/buyers/members")
        ann = row_of(page, "ann")
        await expect(ann).to_contain_text(re.compile("2 . Bought, last"))
        await expect(ann.locator("[data-told=true]")).to_contain_text("200")
        message = ann.locator(".found a[href^='/messages/']")
        await expect(message).to_have_count(1)
        await page.get_by_role("link", name="Check a user").click()
        await page.get_by_label("User").fill("cem")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Not a member")).to_be_visible()
        failing = page.locator("[data-holds=no]").last
        await expect(failing).to_contain_text("""trait('plan') = 'pro' now "free\"""")
        await expect(failing.locator("a[href^='/messages/']")).to_have_count(1)
        holding = page.locator("[data-holds=yes]")
        await expect(holding).to_contain_text("now 2")
        assert await page.evaluate("window.stolen") is None


async def test_who_comes_and_leaves_by_time_is_seen_without_a_reload(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """The row comes, and goes when the window has passed; then it is among those who left, told false."""
    async with reading(browser, house) as reader:
        present = await reader.open("/audiences/here_now/members")
        left = await reader.open("/audiences/here_now/members?among=left")
        await expect(present.get_by_text("Nobody is in it.")).to_be_visible()
        await present.bring_to_front()
        send(house, type="track", event="Ping", userId="dora")
        await expect(row_of(present, "dora")).to_contain_text("Ping")
        await expect(present.locator(".standing [data-count='1']")).to_be_visible()
        await expect(row_of(present, "dora")).to_have_count(0, timeout=PASSES_WITHIN_MS)
        await expect(present.locator(".standing [data-count='0']")).to_be_visible()
        await left.bring_to_front()
        await expect(row_of(left, "dora").locator("[data-told=false]")).to_contain_text("200")
        assert held(heap, "dora")["here_now"] is False
        assert reader.complaints == []


async def test_a_person_is_found_with_traits_memberships_and_timeline(
    house: AppHouse, browser: Browser
) -> None:
    """By how the userId begins; everything that happened comes by itself."""
    async with reading(browser, house) as reader:
        page = await reader.open("/profiles")
        await page.get_by_label("Find a person").fill("bo")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="bob", exact=True).click()
        computed = page.locator("[data-part=computed]")
        await expect(computed).to_contain_text("In it")
        await expect(
            computed.get_by_role("columnheader", name="Sandbox heap holds")
        ).to_be_visible()
        await expect(computed.get_by_text("the same")).to_have_count(2)
        timeline = page.get_by_role("region", name="Table of what happened")
        await expect(timeline).to_contain_text("Entered buyers")
        await expect(timeline).to_contain_text("Bought")
        await expect(timeline).to_contain_text("identify")
        assert reader.complaints == []


async def test_deleting_with_false_first_leaves_false_at_heap_and_the_key_is_gone(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """The dialog says how many; its page waits until everybody was told, and deletes it for good."""
    async with reading(browser, house) as reader:
        page = await reader.open("/audiences/buyers")
        await page.get_by_role("link", name="Delete", exact=True).click()
        await expect(page.get_by_role("main")).to_contain_text(re.compile("2 identify calls"))
        await page.get_by_label("First tell destinations false").check()
        await page.get_by_label("Type buyers to delete it").fill("buyers")
        await page.get_by_role("button", name="Delete the audience").click()
        await page.wait_for_url(f"{house.url}/audiences")
        await expect(
            page.get_by_role("status").filter(has_text="Buyers is deleted")
        ).to_be_visible()
        await expect(page.locator("[data-live=on]")).to_be_visible()
        assert reader.complaints == []
        for user in ("ann", "bob"):
            eventually(partial(holds, heap, user, buyers=False), 20.0)
        gone = await page.goto(f"{house.url}/audiences/buyers")
        assert gone is not None
        assert gone.status == 404
        await expect(page.get_by_role("main")).to_contain_text("Its key is never used again.")


async def test_a_definition_is_followed_while_it_is_typed_and_the_audience_is_made(
    house: AppHouse, browser: Browser, heap: Heap
) -> None:
    """A name never received is doubted, a fault stands at its place, the count is the size after creation."""
    async with reading(browser, house) as reader:
        page = await reader.open("/audiences/new")
        await page.get_by_label("Name").fill("Any order")
        definition = page.get_by_role("textbox", name="Definition")
        await definition.fill("event('Bougth').count() >= 1")
        await expect(page.locator("#definition-doubts")).to_contain_text("Did you mean Bought (")
        await definition.fill("event('Bought').cuont() >= 1")
        await expect(page.locator("#definition-problem")).to_contain_text("line 1, column")
        assert await violations(page) == []
        await definition.fill("event('Bought').count() >= 1")
        await expect(page.locator("#reads")).to_contain_text("performed Bought at least once")
        await page.get_by_label("Heap", exact=True).check()
        now = page.locator("#right-now")
        await expect(now).to_contain_text("Create sends 4 identify calls")
        await expect(now).to_contain_text("4 of ")
        await page.get_by_role("button", name="Create audience").click()
        await page.get_by_role("button", name="Create audience").click()
        await page.wait_for_url(f"{house.url}/audiences/any_order")
        assert reader.complaints == []
    for user in ("ann", "bob", "cem", HOSTILE):
        eventually(partial(holds, heap, user, any_order=True), 20.0)
