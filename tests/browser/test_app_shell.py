"""The app in Chromium, over a running server: for everybody, by keyboard too, and safe from what it shows."""

import re
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPConnection
from urllib.request import urlopen

import pytest
import pytest_asyncio
from app_house import (
    HOSTILE_NAME,
    NAME,
    PASSWORD,
    AppHouse,
    opened_app,
    reading,
    sideways_px,
    violations,
)
from pages import chromium, needs_chromium
from playwright.async_api import Browser, Page, expect

from processes import run

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PATHS = (
    "/",
    "/sources",
    "/sources/new",
    "/sources/website",
    "/sources/billing",
    "/sources/website/install",
    "/sources/website/settings",
    "/sources/website/disable",
    "/sources/website/keys/0/retire",
    "/sources/website/delete",
    "/settings/people",
    "/settings/people/1/remove",
    "/settings/access",
    "/settings/audit",
    "/settings/file",
)
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 800}
THEMES = ("light", "dark")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def empty_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppHouse]:
    with opened_app(tmp_path_factory.mktemp("app")) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(empty_house: AppHouse, browser: Browser) -> AppHouse:
    """With an owner, who has come by the printed link, using the keyboard alone."""
    link = empty_house.first_link()
    assert link is not None
    async with reading(browser, empty_house) as reader:
        page = await reader.open(link.removeprefix(empty_house.url))
        assert await violations(page) == []
        await expect(page.get_by_label("Name")).to_be_focused()
        await page.keyboard.type(NAME)
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Nothing has arrived yet.")
        empty_house.state = await reader.context.storage_state()
        assert reader.complaints == []
    assert empty_house.first_link() is None
    return empty_house


async def test_signing_in_and_out_by_keyboard_alone(house: AppHouse, browser: Browser) -> None:
    """Focus is seen at each stop; a wrong password is told and keeps the name."""
    async with reading(browser, house, storage_state=None) as reader:
        page = await reader.open("/sources")
        assert await violations(page) == []
        await page.keyboard.type(NAME)
        await page.keyboard.press("Tab")
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        await expect(page.get_by_label("Name")).to_have_value(NAME)
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(f"{house.url}/sources")

        stops = await stops_of(page, 9)
        assert stops[0] == "Skip to the content"
        search = ""
        assert stops[1:7] == ["Headgate", search, "Delivering", "UTC", NAME, "Overview"]
        await page.get_by_text(NAME, exact=True).focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Sign out").press("Enter")
        await expect(page).to_have_url(f"{house.url}/login")


async def stops_of(page: Page, count: int) -> list[str]:
    """The text of what Tab reaches, one after the other; each has a ring of 2 px around it."""
    await page.evaluate("document.activeElement.blur()")
    texts = []
    for _ in range(count):
        await page.keyboard.press("Tab")
        ring = await page.evaluate("getComputedStyle(document.activeElement).outline")
        assert "2px" in ring and "solid" in ring, ring
        texts.append(await page.evaluate("document.activeElement.innerText.trim()"))
    return texts


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
async def test_every_page_is_for_everybody(
    house: AppHouse, browser: Browser, theme: str, size: dict[str, int]
) -> None:
    """No violation that axe finds, no complaint of the browser, no request elsewhere, no sideways scroll."""
    async with reading(browser, house, color_scheme=theme, viewport=size) as reader:
        page = await reader.open("/")
        for path in PATHS:
            answer = await page.goto(house.url + path)
            assert answer is not None
            assert answer.status == 200, path
            assert await violations(page) == [], path
            assert await sideways_px(page) == 0, path
            assert await page.locator("h1").count() == 1, path
        assert reader.complaints == []
        await page.goto(f"{house.url}/nothing")
        assert await violations(page) == []
        assert reader.elsewhere == []


async def test_an_open_menu_is_for_everybody_too(house: AppHouse, browser: Browser) -> None:
    """The one of the person, and the main one where the window is narrow."""
    async with reading(browser, house, viewport=NARROW) as reader:
        page = await reader.open("/")
        rail = page.get_by_role("navigation", name="Main")
        await expect(rail).to_be_hidden()
        await page.get_by_role("button", name="Menu").click()
        await expect(rail).to_be_visible()
        await page.get_by_text(NAME, exact=True).first.click()
        assert await violations(page) == []
        await page.keyboard.press("Escape")
        await rail.get_by_role("link", name="Sources").click()
        await expect(page).to_have_url(f"{house.url}/sources")


async def test_the_theme_can_be_set(house: AppHouse, browser: Browser) -> None:
    """Against the system's, and it lasts."""
    async with reading(browser, house, color_scheme="light") as reader:
        page = await reader.open("/sources")
        background = "getComputedStyle(document.body).backgroundColor"
        assert await page.evaluate(background) == "rgb(243, 247, 248)"
        await page.get_by_text(NAME, exact=True).click()
        await page.get_by_role("button", name="Dark").click()
        await page.wait_for_url(f"{house.url}/sources")
        assert await page.evaluate(background) == "rgb(13, 21, 25)"
        await page.goto(f"{house.url}/")
        assert await page.evaluate(background) == "rgb(13, 21, 25)"


async def test_nothing_moves_when_movement_is_unwanted(house: AppHouse, browser: Browser) -> None:
    """Not even what was done goes away by itself."""
    async with reading(browser, house, reduced_motion="reduce") as reader:
        page = await reader.open("/sources/billing")
        await page.get_by_role("button", name="Add a write key").click()
        await expect(page.get_by_text("Write key added.")).to_be_visible()
        running = "document.getAnimations().length"
        assert await page.evaluate(running) == 0


async def test_a_form_says_what_is_wrong_while_it_is_filled_in(
    house: AppHouse, browser: Browser
) -> None:
    """In the words of the file's checks, for the fields that were touched, and no longer once it is mended."""
    async with reading(browser, house) as reader:
        page = await reader.open("/sources/new")
        slug = page.get_by_label("Slug")
        await slug.fill("no slug")
        await expect(page.get_by_text(re.compile("Expected a slug"))).to_be_visible()
        assert await slug.get_attribute("aria-invalid") == "true"
        assert await violations(page) == []
        await slug.fill("website")
        await expect(page.get_by_text(re.compile("a slug of its own"))).to_be_visible()
        await slug.fill("kiosk")
        await expect(page.locator("[data-problem=slug]")).to_be_empty()
        assert reader.complaints == []


async def test_a_source_is_made_renamed_and_switched_off_and_the_door_obeys(
    house: AppHouse, browser: Browser
) -> None:
    """Each change is in use at once, without a restart; the export is the file that would make it."""
    async with reading(browser, house) as reader:
        page = await reader.open("/sources")
        await page.get_by_role("link", name="New source").click()
        await page.get_by_label("Name").fill("Till")
        await page.get_by_label("Slug").fill("till")
        await page.get_by_label("Server").check()
        await page.get_by_role("button", name="Create source").click()
        await expect(page.get_by_text("Source created.")).to_be_visible()
        await page.get_by_role("link", name="Overview").last.click()
        await page.locator("details.secret summary").click()
        key = await page.locator("#key-0").inner_text()
        assert calls_refused(house, key) == 0

        await page.get_by_role("link", name="Settings").last.click()
        await page.get_by_label("Name").fill("Tills")
        await page.get_by_role("button", name="Save settings").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Tills")
        await page.get_by_role("link", name="Disable").click()
        await page.get_by_role("button", name="Disable the source").click()
        await expect(page.get_by_text("Tills is disabled.")).to_be_visible()
        assert calls_refused(house, key) == 1
        assert reader.complaints == []
    exported = run("export", "--data-dir", house.gateway.data_dir).stdout
    assert "slug: till\n    name: Tills\n    type: server\n    enabled: false" in exported
    status = run("status", "--data-dir", house.gateway.data_dir).stdout
    assert f"by {NAME}" in status or NAME in status


def calls_refused(house: AppHouse, key: str) -> int:
    """Makes one call with the key; how many calls have been refused since the source is disabled."""
    line = HTTPConnection("127.0.0.1", house.gateway.port, timeout=10)
    body = f'{{"userId": "u", "event": "e", "writeKey": "{key}"}}'
    line.request("POST", "/v1/track", body, {"Content-Type": "application/json"})
    assert line.getresponse().status == 200
    line.close()
    with urlopen(f"{house.url}/metrics") as answer:
        text = answer.read().decode()
    found = re.search(
        r'headgate_refused_total\{source="till",reason="source_disabled".*\} (\d+)', text
    )
    return int(found[1]) if found else 0


async def test_two_people_edit_one_source(house: AppHouse, browser: Browser) -> None:
    """The second one sees both values; nothing is overwritten unseen."""
    async with reading(browser, house) as reader:
        first = await reader.open("/sources/website/settings")
        second = await reader.open("/sources/website/settings")
        await first.get_by_label("Name").fill("The first one's")
        await first.get_by_role("button", name="Save settings").click()
        await expect(first.get_by_text("Settings saved.")).to_be_visible()
        await second.get_by_label("Name").fill("The second one's")
        await second.get_by_role("button", name="Save settings").click()
        await expect(second.get_by_role("alert")).to_contain_text("Nothing was saved.")
        await expect(second.get_by_text("Saved meanwhile: The first one's")).to_be_visible()
        await expect(second.get_by_label("Name")).to_have_value("The second one's")
        assert await violations(second) == []
        await first.reload()
        await expect(first.get_by_role("heading", level=1)).to_have_text("The first one's")


async def test_hostile_names_are_inert(house: AppHouse, browser: Browser) -> None:
    """Markup in a name is text on every page, and runs on none."""
    async with reading(browser, house) as reader:
        page = await reader.open("/sources/website/settings")
        await page.get_by_label("Name").fill(HOSTILE_NAME)
        await page.get_by_role("button", name="Save settings").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x onerror=")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("U+202E")
        for path in PATHS:
            await page.goto(house.url + path)
            assert await page.evaluate("window.stolen") is None, path
            assert await page.locator("img").count() == 0, path
            assert await violations(page) == [], path
            assert await sideways_px(page) == 0, path
        assert reader.complaints == []
        await page.goto(f"{house.url}/sources/website/settings")
        await page.get_by_label("Name").fill("Website")
        await page.get_by_role("button", name="Save settings").click()


async def test_the_lines_to_paste_are_copied_whole(house: AppHouse, browser: Browser) -> None:
    """Exactly what stands there."""
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    async with reading(browser, house, **options) as reader:
        page = await reader.open("/sources/website/install?library=npm")
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied == await page.locator("#snippet").text_content()
        assert "wk_website_0123456789" in copied


async def test_without_scripts_everything_works(house: AppHouse, browser: Browser) -> None:
    """Reading, forms, confirmations, the menu where the window is narrow."""
    async with reading(browser, house, java_script_enabled=False, viewport=NARROW) as reader:
        page = await reader.open("/sources/billing")
        await expect(page.get_by_role("navigation", name="Main")).to_be_visible()
        await page.get_by_role("button", name="Enable").click()
        await expect(page.get_by_text("Billing is enabled.")).to_be_visible()
        await page.get_by_role("link", name="Disable").click()
        await page.get_by_role("button", name="Disable the source").click()
        await expect(page.get_by_text("Billing is disabled.")).to_be_visible()
        await page.goto(f"{house.url}/sources/billing/settings")
        await page.get_by_label("Name").fill("\u0007")
        await page.get_by_role("button", name="Save settings").click()
        await expect(page.get_by_text(re.compile("Expected text"))).to_be_visible()


async def test_pages_are_small_and_files_are_kept_for_ever(
    house: AppHouse, browser: Browser
) -> None:
    """The first page with everything within 120 KB as it travels, later ones within 25 KB."""
    async with reading(browser, house) as reader:
        page = await reader.open("/")
        sizes = "performance.getEntries().reduce((sum, one) => sum + (one.{}Size || 0), 0)"
        assert 0 < await page.evaluate(sizes.format("encodedBody")) < 120_000
        await page.goto(f"{house.url}/sources/website/debugger")
        assert 0 < await page.evaluate(sizes.format("transfer")) < 25_000
        async with page.expect_response(re.compile(r"/assets/app\..*css")) as asked:
            await (await reader.context.new_page()).goto(f"{house.url}/sources")
            await page.reload()
        answer = await asked.value
        assert "immutable" in (await answer.all_headers())["cache-control"]


async def test_what_was_typed_outlives_the_session(house: AppHouse, browser: Browser) -> None:
    """Signed out while a form was filled in: sign in, look at it, send it."""
    async with reading(browser, house) as reader:
        page = await reader.open("/sources/billing/settings")
        await page.get_by_label("Name").fill("Typed in vain?")
        await reader.context.clear_cookies()
        await page.get_by_role("button", name="Save settings").click()
        await expect(page.get_by_role("alert")).to_contain_text("what you typed is kept")
        assert await violations(page) == []
        await page.get_by_label("Name").fill(NAME)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("Typed in vain?")).to_be_visible()
        assert await violations(page) == []
        await page.get_by_role("button", name="Send it now").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Typed in vain?")


async def test_an_invited_viewer_sees_and_cannot_change(house: AppHouse, browser: Browser) -> None:
    """By a link that is shown once; removed, they are out at once."""
    async with (
        reading(browser, house) as reader,
        reading(browser, house, storage_state=None) as guest,
    ):
        page = await reader.open("/settings/people")
        await page.get_by_role("button", name="Make an invitation link").click()
        link = await page.locator("#link").inner_text()
        assert await violations(page) == []
        theirs = await guest.open(link.removeprefix(house.url))
        await theirs.get_by_label("Name").fill("vera")
        await theirs.get_by_label("Password").fill(PASSWORD)
        await theirs.get_by_role("button", name="Make the account").click()
        await theirs.goto(f"{house.url}/sources/website")
        await expect(theirs.get_by_role("button", name="Disable")).to_be_disabled()
        assert await violations(theirs) == []
        await theirs.goto(f"{house.url}/sources/new")
        await expect(theirs.get_by_text("This needs the role editor")).to_be_visible()
        await page.goto(f"{house.url}/settings/people")
        row = page.get_by_role("row").filter(has_text="vera")
        await row.get_by_role("link", name="Remove").click()
        await page.get_by_role("button", name="Remove the person").click()
        await theirs.goto(f"{house.url}/")
        await expect(theirs).to_have_url(f"{house.url}/login")
