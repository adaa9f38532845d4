"""The app in a real browser for tests: a running server, its owner, and what a page is held to."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page

from headgate.app.links import owner_link
from headgate.clock import SystemClock
from processes import Gateway

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
NAME, PASSWORD = "ana", "correct horse battery"
HOSTILE_NAME = '<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>\u202e '

_WORKSPACE = """\
sources:
  - {slug: website, name: Website, type: website, writeKeys: [wk_website_0123456789]}
  - {slug: billing, name: Billing, type: server, enabled: false, writeKeys: [wk_billing]}
destinations:
  - slug: heap
    name: Heap production
    sourceId: website
    settings: {appId: "1001", apiBaseUrl: "http://127.0.0.1:9"}
"""
_VIOLATIONS = """axe.run().then(found => found.violations.map(one =>
  one.id + ": " + one.nodes.map(node => node.html.slice(0, 200)).join(" | ")))"""
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class AppHouse:
    """A running server whose app somebody is about to open."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.url = gateway.app_url
        self.state: Any = None

    def first_link(self) -> str | None:
        """What the server prints for the first owner."""
        return owner_link(self.gateway.data_dir, self.url, SystemClock())


@contextmanager
def opened_app(folder: Path) -> Iterator[AppHouse]:
    """A server with a workspace and no account yet."""
    config = folder / "headgate.yaml"
    config.write_text(_WORKSPACE)
    with Gateway(folder / "data", config) as gateway:
        yield AppHouse(gateway)


class Reader:
    """A browser profile in which everything that goes wrong is written down."""

    def __init__(self, context: BrowserContext, house: AppHouse) -> None:
        self.context = context
        self.house = house
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        context.on("console", lambda said: self._hear(said.type, said.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", lambda request: self._went(request.url))

    async def open(self, path: str) -> Page:
        """A page of the app that has loaded."""
        page = await self.context.new_page()
        await page.goto(self.house.url + path)
        return page

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _went(self, url: str) -> None:
        if not url.startswith((self.house.url, "blob:")):
            self.elsewhere.append(url)


@asynccontextmanager
async def reading(browser: Browser, house: AppHouse, **options: Any) -> AsyncIterator[Reader]:
    """Somebody who is signed in, once the house has an owner. `options` are those of the browser's context."""
    options.setdefault("storage_state", house.state)
    context = await browser.new_context(**options)
    context.set_default_timeout(20_000)
    try:
        yield Reader(context, house)
    finally:
        await context.close()


async def violations(page: Page) -> list[str]:
    """What axe has to say of a page, as it is now."""
    await page.evaluate(AXE.read_text())
    found: list[str] = await page.evaluate(_VIOLATIONS)
    return found


async def sideways_px(page: Page) -> int:
    """How far the page as a whole scrolls sideways."""
    return int(await page.evaluate(_SIDEWAYS))
