"""Settings say what the page loads and what the server delivers, and where to send, and no secret."""

import pytest
from cdn_requests import Asked, cdn_of, destination, get

import factories
from headgate.gateway.cdn import Cdn
from headgate.gateway.cdn_files import read_files
from headgate.gateway.own_address import Address, own_address
from headgate.workspace.model import Workspace

WEBSITE = "/v1/projects/wk_website/settings"
APP = "/v1/projects/wk_app/settings"


def test_a_website_in_device_mode_lists_heap_as_bundled() -> None:
    """Everything that the page needs, and that the server does not deliver."""
    settings = get(cdn_of(destinations=[destination()]), WEBSITE).json
    assert settings["integrations"]["Heap"] == {
        "appId": "1535634150",
        "mapping": "heap",
        "heapScript": "current",
        "region": "US",
        "secureCookie": False,
        "disableTextCapture": False,
        "junkIdentities": settings["integrations"]["Heap"]["junkIdentities"],
        "type": "browser",
        "bundlingStatus": "bundled",
        "versionSettings": {
            "version": read_files().heap_version,
            "componentTypes": ["browser"],
        },
    }
    assert settings["integrations"]["Segment.io"] == {
        "apiKey": "wk_website",
        "addBundledMetadata": True,
        "unbundledIntegrations": [],
        "maybeBundledConfigIds": {"Heap": ["heap"]},
        "deliveryStrategy": {"config": {"keepalive": True}},
        "apiHost": "events.example.com/v1",
        "protocol": "http",
    }


def test_pages_do_not_report_on_themselves() -> None:
    """When it is left out, analytics.js sends its own metrics to Segment."""
    assert get(cdn_of(), WEBSITE).json["metrics"] == {"sampleRate": 0}


def test_only_settings_for_the_page_are_told() -> None:
    """Everybody can read them."""
    secret = {"deletionApiKey": "s3cret", "apiBaseUrl": "http://10.0.0.1", "retryWindow": "1 hour"}
    body = get(cdn_of(destinations=[destination(settings=secret)]), WEBSITE).body
    for value in (b"s3cret", b"10.0.0.1", b"1 hour", b"eventsPerMinute"):
        assert value not in body


def test_markup_in_settings_stays_text() -> None:
    """The answer is JSON and says that it is nothing else."""
    markup = "</script><script>alert(1)</script>"
    answer = get(cdn_of(destinations=[destination(settings={"junkIdentities": [markup]})]), WEBSITE)
    assert answer.json["integrations"]["Heap"]["junkIdentities"] == [markup]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("source_type", ["website", "server"])
def test_what_the_server_delivers_is_unbundled(source_type: str) -> None:
    """A page with this key loads nothing, and says on its messages that the server has to deliver."""
    cdn = cdn_of(
        factories.source(type=source_type), destinations=[destination(connection_mode="cloud")]
    )
    integrations = get(cdn, WEBSITE).json["integrations"]
    assert integrations.keys() == {"Segment.io"}
    assert integrations["Segment.io"]["unbundledIntegrations"] == ["Heap"]


def test_of_several_the_enabled_one_in_device_mode_is_in_the_page() -> None:
    """One that is delivered to besides is not named as unbundled: the name stands for both, and nothing
    may arrive twice."""
    cdn = cdn_of(
        destinations=[
            destination("off", enabled=False, settings={"appId": "1"}),
            destination("cloud", connection_mode="cloud", settings={"appId": "2"}),
            destination("page", settings={"appId": "3"}),
        ]
    )
    integrations = get(cdn, WEBSITE).json["integrations"]
    assert integrations["Heap"]["appId"] == "3"
    assert integrations["Segment.io"]["maybeBundledConfigIds"] == {"Heap": ["page"]}
    assert integrations["Segment.io"]["unbundledIntegrations"] == []


def test_apps_are_told_that_the_server_delivers() -> None:
    """Swift, Kotlin and React Native count as unbundled what is listed and not installed in the app."""
    app = factories.source("app", type="mobile")
    settings = get(cdn_of(app, destinations=[destination(source="app")]), APP).json
    assert settings["integrations"] == {
        "Heap": {"bundlingStatus": "unbundled"},
        "Segment.io": {
            "apiKey": "wk_app",
            "addBundledMetadata": True,
            "unbundledIntegrations": [],
            "maybeBundledConfigIds": {},
        },
    }


def test_apps_keep_the_address_that_they_were_built_with() -> None:
    """Their libraries would put one from the settings above it."""
    body = get(cdn_of(factories.source("app", type="mobile")), APP).body
    assert b"apiHost" not in body


def test_consent_categories_are_told_to_the_page() -> None:
    """As Segment's consent wrappers read them."""
    asks = destination(settings={"consentCategories": ["ads", "analytics"]})
    settings = get(cdn_of(destinations=[asks]), WEBSITE).json
    assert settings["consentSettings"] == {
        "allCategories": ["ads", "analytics"],
        "hasUnmappedDestinations": False,
    }
    heap = settings["integrations"]["Heap"]
    assert heap["consentSettings"] == {"categories": ["ads", "analytics"]}


def test_a_new_version_of_the_workspace_shows_at_once() -> None:
    """Settings are made once for a version, and not kept beyond it."""
    versions: list[Workspace] = [factories.workspace(destinations=[destination()])]
    cdn = Cdn(lambda: (len(versions), versions[-1]))
    first = get(cdn, WEBSITE)
    assert get(cdn, WEBSITE) == first
    versions.append(factories.workspace(destinations=[destination(connection_mode="cloud")]))
    second = get(cdn, WEBSITE)
    assert "Heap" not in second.json["integrations"]
    assert second.headers["etag"] != first.headers["etag"]


def test_settings_are_kept_by_the_browser_only() -> None:
    """They name the address by which they were asked for: a shared cache would pass on a stranger's word."""
    assert get(cdn_of(), WEBSITE).headers["cache-control"] == "private, max-age=60"


def test_the_neutral_settings_name_the_neutral_paths() -> None:
    """Events then go where the library came from."""
    segment = get(cdn_of(), "/a/wk_website/s").json["integrations"]["Segment.io"]
    assert segment["apiHost"] == "events.example.com/a"


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({}, ("http", "events.example.com")),
        ({"host": b"127.0.0.1:8080"}, ("http", "127.0.0.1:8080")),
        ({"host": b"[::1]:8080"}, ("http", "[::1]:8080")),
        ({"forwarded_proto": b"https"}, ("https", "events.example.com")),
        ({"forwarded_proto": b"HTTPS, http"}, ("https", "events.example.com")),
        ({"forwarded_proto": b"javascript"}, ("http", "events.example.com")),
        ({"origin": b"https://shop.example"}, ("https", "events.example.com")),
        (
            {"origin": b"https://shop.example", "host": b"localhost:8080"},
            ("http", "localhost:8080"),
        ),
        ({"origin": b"null"}, ("http", "events.example.com")),
        ({"forwarded_host": b"shop.example, proxy.local"}, ("http", "shop.example")),
        ({"forwarded_prefix": b"/events/"}, ("http", "events.example.com/events")),
        ({"forwarded_prefix": b"/../x"}, ("http", "events.example.com")),
        ({"forwarded_prefix": b'/"><script>'}, ("http", "events.example.com")),
        ({"forwarded_host": b"shop.example/evil?"}, ("http", "events.example.com")),
        ({"forwarded_host": b'"><script>'}, ("http", "events.example.com")),
        ({"forwarded_host": b"user@shop.example"}, ("http", "events.example.com")),
    ],
)
def test_the_address_is_the_one_that_the_page_used(
    headers: dict[str, bytes], address: tuple[str, str]
) -> None:
    """What a proxy says counts, as far as it is an address."""
    assert own_address(Asked("/", **headers)) == Address(*address)


def test_without_an_address_the_page_has_to_know_it() -> None:
    """Nothing is made up."""
    cdn = cdn_of()
    segment = get(cdn, WEBSITE, host=b"<script>").json["integrations"]["Segment.io"]
    assert not segment.keys() & {"apiHost", "protocol"}
