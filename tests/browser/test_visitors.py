"""Who the visitor is, and in which order Heap hears of it: logins, logouts, and the calls around them.

analytics.js holds calls back until Heap has loaded, forgets a visitor at once when the page says so, and
knows nothing of what Heap was told. Heap has to hear all of it once, and in the order of the page.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from device_house import LIBRARY, House
from pages import CHROMIUM, FLAGS, Visitor, needs_chromium, until, visitor
from playwright.async_api import async_playwright

pytest_plugins = ["house_fixtures"]
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

HEAPS_HOST = "https://cdn.us.heap-api.com/**"
HEAPS_SCRIPT = "/config/1003/heap_config.js"
HAS_LOADED = "window.analytics.initialized && window.heap?.loaded"
LOGGED_OUT = ("resetIdentity",)


def logged_in(user_id: str, **traits: str) -> list[tuple[Any, ...]]:
    """What Heap is told of an identify call."""
    return [("identify", user_id), ("addUserProperties", traits | LIBRARY)]


def tracked(event: str) -> tuple[Any, ...]:
    """What Heap is told of a track call without properties."""
    return ("track", event, LIBRARY)


def identities(house: House, address: str) -> dict[str, str | None]:
    """Whom Heap took the visitor for, by the event that was tracked."""
    told = house.told_by(address)
    return {one["args"][0]: one["identity"] for one in told if one["method"] == "track"}


async def test_calls_from_before_heap_had_loaded_come_first(house: House, shopper: Visitor) -> None:
    """Also when the next ones are made as soon as it has."""
    address = house.page(
        "current",
        """analytics.identify("eve", {plan: "free"});
           analytics.track("Early");
           analytics.ready(async () => {
             await analytics.identify("eve", {plan: "pro"});
             await analytics.track("Late");
           });""",
    )
    await shopper.open(address)

    assert await house.calls_by(address, 6) == [
        *logged_in("eve", plan="free"),
        tracked("Early"),
        *logged_in("eve", plan="pro"),
        tracked("Late"),
    ]


async def test_once_heap_has_loaded_nothing_is_held_back(house: House, shopper: Visitor) -> None:
    """What were would be lost with a page that is left for another site."""
    page = await shopper.open(house.page("current", "analytics.track('Landed');"))
    await page.wait_for_function(HAS_LOADED)
    await page.goto(house.site.add("/elsewhere", "Elsewhere"))
    kept = "Object.keys(localStorage).filter((key) => key.includes('dest-Heap'))"

    assert await page.evaluate(kept) == []


async def test_what_was_called_before_a_logout_is_told_before_it(
    house: House, shopper: Visitor
) -> None:
    """While it is still on its way, and when analytics.js had held it back."""
    address = house.page(
        "current",
        """analytics.identify("fay");
           analytics.track("Bought");
           analytics.ready(() => {
             analytics.track("Signed Out");
             analytics.reset();
             analytics.track("Anonymous");
           });""",
    )
    await shopper.open(address)

    assert await house.calls_by(address, 6) == [
        *logged_in("fay"),
        tracked("Bought"),
        tracked("Signed Out"),
        LOGGED_OUT,
        tracked("Anonymous"),
    ]
    assert identities(house, address) == {"Bought": "fay", "Signed Out": "fay", "Anonymous": None}


async def test_a_login_and_a_logout_at_once_leave_nobody_logged_in(
    house: House, shopper: Visitor
) -> None:
    """analytics.js reports the logout first."""
    both = "analytics.ready(() => { analytics.identify('gus'); analytics.reset(); });"
    address = house.page("current", both)
    await shopper.open(address)

    assert await house.calls_by(address, 3) == [*logged_in("gus"), LOGGED_OUT]


async def test_a_login_that_was_held_back_does_not_undo_a_logout(
    house: House, shopper: Visitor
) -> None:
    """Both wait for Heap, and Heap hears them in their order."""
    release = await shopper.hold(HEAPS_HOST)
    address = house.page(
        "hosted",
        """analytics.on("initialize", () => {
             analytics.identify("fay");
             setTimeout(() => {
               analytics.reset();
               analytics.track("Left");
               window.hasLeft = true;
             }, 200);
           });""",
    )
    page = await shopper.open(address)
    await page.wait_for_function("window.hasLeft")
    await release(house.heap_script(HEAPS_SCRIPT))

    assert await house.calls_by(address, 4) == [*logged_in("fay"), LOGGED_OUT, tracked("Left")]


async def test_who_logs_out_and_leaves_at_once_stays_logged_out(
    house: House, shopper: Visitor
) -> None:
    """Heap hears of it from the page when there is time, otherwise from the next before anything else."""
    page = await shopper.open(house.page("current", "analytics.identify('ida');"))
    await page.wait_for_function(HAS_LOADED)
    left, address = page.url, house.page("current", "analytics.track('Browsed');")
    await page.evaluate(f"analytics.reset(); location.href = '{address}'")
    await page.wait_for_url(address)

    def has_heard() -> bool:
        both = house.calls(left) + house.calls(address)
        return LOGGED_OUT in both and tracked("Browsed") in both

    await until(has_heard, lambda: f"{house.calls(left)}, {house.calls(address)}")
    assert house.calls(address) in ([tracked("Browsed")], [LOGGED_OUT, tracked("Browsed")])


async def test_a_page_that_is_left_tells_of_the_logout(house: House, shopper: Visitor) -> None:
    """Nobody knows whether there will be a next one."""
    page = await shopper.open(house.page("current", "analytics.identify('ivy');"))
    await page.wait_for_function(HAS_LOADED)
    elsewhere = house.site.add("/left-for", "Elsewhere")
    await page.evaluate(
        f"""heap.resetIdentity = () => localStorage.setItem("heard", "yes");
            analytics.reset();
            location.href = "{elsewhere}";"""
    )
    await page.wait_for_url(elsewhere)

    assert await page.evaluate("localStorage.heard") == "yes"


@pytest.mark.parametrize("before", ["", "Signed Out"])
async def test_a_logout_that_comes_before_the_integration_reaches_heap(
    house: House, shopper: Visitor, before: str
) -> None:
    """A page for it alone, which says so while it loads; what is called before it is still the former visitor's."""
    page = await shopper.open(house.page("current", "analytics.identify('jan');"))
    await page.wait_for_function(HAS_LOADED)
    await until(lambda: house.heap_identity_of(page.url) == "jan", lambda: "nobody is logged in")
    last_call = f"analytics.track('{before}');" if before else ""
    address = house.page(
        "current",
        f"{last_call} analytics.reset(); analytics.ready(() => analytics.track('Anonymous'));",
    )
    await page.goto(address)

    expected = [tracked(before)] * bool(before) + [LOGGED_OUT, tracked("Anonymous")]
    assert await house.calls_by(address, len(expected)) == expected
    next_address = house.page("current", "analytics.track('Next');")
    await page.goto(next_address)
    assert await house.calls_by(next_address, 1) == [tracked("Next")]


async def test_a_page_that_heap_was_too_late_for_leaves_login_and_logout_to_the_next(
    house: House, shopper: Visitor
) -> None:
    """The former visitor's calls come first there, then the logout, then its own."""
    await shopper.hold(HEAPS_HOST)
    page = await shopper.open(
        house.page("hosted", "analytics.identify('kai'); analytics.track('Seen');")
    )
    await shopper.sent(house.gateway.url, 1, "/v1/t")
    await shopper.until_asked(f"https://cdn.us.heap-api.com{HEAPS_SCRIPT}")
    await page.evaluate("analytics.reset()")
    await shopper.answer(HEAPS_HOST, house.heap_script(HEAPS_SCRIPT))
    address = house.page("hosted", "analytics.track('Browsed');")
    await page.goto(address)

    assert await house.calls_by(address, 5) == [
        *logged_in("kai"),
        tracked("Seen"),
        LOGGED_OUT,
        tracked("Browsed"),
    ]


async def test_a_time_in_the_past_makes_no_call_late(house: House, shopper: Visitor) -> None:
    """A page may say when something happened; that is no reason to take the call for a former visitor's."""
    address = house.page(
        "current",
        """analytics.ready(async () => {
             analytics.reset();
             await analytics.identify("lou", {}, {timestamp: new Date("2020-01-01")});
           });""",
    )
    await shopper.open(address)

    assert await house.calls_by(address, 3) == [LOGGED_OUT, *logged_in("lou")]


async def test_calls_made_offline_come_before_later_ones(house: House, shopper: Visitor) -> None:
    """analytics.js holds them back as well, for whom it was then."""
    address = house.page("current", "")
    page = await shopper.open(address)
    await page.wait_for_function(HAS_LOADED)
    await shopper.context.set_offline(True)
    await page.evaluate(
        """async () => {
          await analytics.identify("max");
          await analytics.track("Offline");
          analytics.reset();
          await new Promise((passed) => setTimeout(passed, 150)); // a logout waits for 100
        }"""
    )
    await shopper.context.set_offline(False)
    await page.evaluate("async () => { await analytics.track('Online'); }")

    assert await house.calls_by(address, 5) == [
        *logged_in("max"),
        tracked("Offline"),
        LOGGED_OUT,
        tracked("Online"),
    ]


async def test_what_a_site_has_heap_told_otherwise_is_told_otherwise_when_held_back(
    house: House, shopper: Visitor
) -> None:
    """Destination middleware, which a site adds to change or stop calls for one destination."""
    address = house.page(
        "current",
        """analytics.addDestinationMiddleware("Heap", ({payload, next}) => {
             if (payload.obj.event === "Secret") return next(null);
             payload.obj.event = "Shop: " + payload.obj.event;
             next(payload);
           });
           analytics.track("Secret");
           analytics.track("Viewed");
           analytics.ready(() => analytics.track("Bought"));""",
    )
    await shopper.open(address)

    assert await house.calls_by(address, 2) == [tracked("Shop: Viewed"), tracked("Shop: Bought")]


async def test_ids_and_integrations_count_as_on_the_server(house: House, shopper: Visitor) -> None:
    """Blanks are nobody, so that the traits are the anonymous visitor's; `all` counts as `All`."""
    address = house.page(
        "current",
        """analytics.ready(async () => {
             await analytics.identify("   ", {plan: "free"});
             await analytics.track("Hidden", {}, {integrations: {all: false}});
             await analytics.track("Shown", {}, {integrations: {all: false, Heap: true}});
           });""",
    )
    await shopper.open(address)

    assert await house.calls_by(address, 2) == [
        ("addUserProperties", {"plan": "free", **LIBRARY}),
        tracked("Shown"),
    ]


@pytest_asyncio.fixture(loop_scope="session")
async def returning() -> AsyncIterator[Visitor]:
    """A visitor whose browser puts pages aside when they are left, and shows them again as they were."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM,
            args=FLAGS,
            ignore_default_args=["--disable-back-forward-cache"],
        )
        async with visitor(browser) as one:
            yield one
        await browser.close()


async def test_a_page_that_is_shown_again_does_not_tell_again(
    house: House, returning: Visitor
) -> None:
    """What it held back when it was left was told by the page in between."""
    await returning.hold(HEAPS_HOST)
    address = house.page(
        "hosted",
        """analytics.track("Once");
           addEventListener("pageshow", ({persisted}) => {
             if (persisted) analytics.ready(async () => {
               await analytics.track("Again");
               const told = heapReadyCb.filter(({name}) => name === "track").length;
               fetch("/told/" + told);
             });
           });""",
    )
    page = await returning.open(address)
    await returning.sent(house.gateway.url, 1, "/v1/t")
    await returning.until_asked(f"https://cdn.us.heap-api.com{HEAPS_SCRIPT}")
    await returning.answer(HEAPS_HOST, house.heap_script(HEAPS_SCRIPT))
    between = house.page("hosted", "")
    await page.goto(between)
    assert await house.calls_by(between, 1) == [tracked("Once")]
    await page.evaluate("setTimeout(() => history.back())")

    def told() -> list[str]:
        return [one.url[-1] for one in returning.requests if "/told/" in one.url]

    await until(lambda: bool(told()), lambda: "the page is not shown again")
    assert told() == ["1"]
