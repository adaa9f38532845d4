"""What device mode costs a page and the server: the integration's size, its time, the settings' time.

The browser is Debian's Chromium; without it the page's figure is left out.
"""

import random
import shutil
import statistics
import time
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from headgate.clock import SystemClock
from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.browser import page_settings
from headgate.gateway.cdn import Cdn
from headgate.gateway.cdn_files import DIRECTORY, HEAP
from headgate.gateway.connection import Request
from headgate.sandbox.traffic import Traffic
from headgate.spec.settings import with_defaults
from headgate.workspace.model import Destination, Retention, Source, Workspace

_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

_SETTINGS = with_defaults(CATALOG["heap"].settings, {"appId": "1535634150"})
_WORKSPACE = Workspace(
    sources=(Source("bench", "Bench", "website", enabled=True, write_keys=("wk_bench",)),),
    destinations=(
        Destination(
            slug="heap",
            name="Heap",
            metadata_id="heap",
            source_id="bench",
            enabled=True,
            connection_mode="device",
            settings=_SETTINGS,
        ),
    ),
    retention=Retention(days=30, max_bytes=0),
)

# What the integration does in a page that opens, from its first byte on: it is parsed, constructed and
# initialized, and passes on two calls that analytics.js has held back. Neither Heap's own script nor
# analytics.js is among it: what the integration asks of that is answered by as little as will do.
_AT_WORK = """([text, settings, calls]) => {
  (0, eval)(text);
  window.heapLoader();
  let now = calls[0];
  const integration = new window.heapIntegration(settings);
  integration.analytics = {
    on() {},
    options: {},
    queue: {failedInitializations: [], plugins: []},
    storage: {get() {}, set() {}, clear() {}},
    user: () => ({id: () => now.userId, anonymousId: () => now.anonymousId}),
  };
  integration.initialize();
  for (now of calls) integration.invoke(now.type, {rawEvent: () => now});
}"""
_IDLE = "() => {}"


def integration_bytes() -> tuple[int, int]:
    """The size of the Heap integration in gzip and in brotli."""
    packed = (DIRECTORY / f"{HEAP}{suffix}" for suffix in (".gz", ".br"))
    gzip, brotli = (path.stat().st_size for path in packed)
    return gzip, brotli


def settings_cpu_s(answers: int) -> float:
    """CPU seconds for one answer with a website's settings, on average."""
    cdn = Cdn(lambda: (1, _WORKSPACE))
    request = Request("127.0.0.1")
    request.method, request.path = "GET", "/v1/projects/wk_bench/settings"
    request.host = b"events.example.com"
    began = time.process_time()
    for _ in range(answers):
        cdn(request)
    return (time.process_time() - began) / answers


def main_thread_ms(pages: int) -> float | None:
    """CPU milliseconds that the integration takes of a page's main thread: the median of fresh pages.

    None without Chromium.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        spent_ms = statistics.median(_at_work_ms(browser) for _ in range(pages))
        browser.close()
    return spent_ms


def _at_work_ms(browser: Browser) -> float:
    """In a page of its own, less what it takes to hand a page the same things for nothing."""
    page = browser.new_page()
    page.route("**", lambda route: route.fulfill(body="", content_type="text/html"))
    page.goto("https://shop.example/")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    given = [(DIRECTORY / HEAP).read_text(), page_settings(_SETTINGS), _calls()]
    page.evaluate(_IDLE, given)  # the first evaluation loads Playwright's own script
    handing = _busy_ms(page, devtools, _IDLE, given)
    working = _busy_ms(page, devtools, _AT_WORK, given)
    page.close()
    return working - handing


def _busy_ms(page: Page, devtools: CDPSession, script: str, given: list[Any]) -> float:
    """CPU milliseconds of the main thread while this script runs."""
    before = _task_duration_s(devtools)
    page.evaluate(script, given)
    return (_task_duration_s(devtools) - before) * 1000


def _task_duration_s(devtools: CDPSession) -> float:
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def _calls() -> list[dict[str, Any]]:
    """What a page calls when it opens: an identify and a track call of the ecommerce spec."""
    traffic = Traffic(clock=SystemClock(), rng=random.Random(3), users=range(1000))
    taken = [one for one in traffic.take(4000) if one.get("userId")]
    return [next(one for one in taken if one["type"] == type_) for type_ in ("identify", "track")]
