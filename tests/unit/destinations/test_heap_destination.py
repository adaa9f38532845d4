"""The requests that carry mapped messages, and what delivery may rely on."""

import json
from typing import Any

import pytest

from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.destination import HEAP
from headgate.destinations.heap.settings import JUNK_IDENTITIES, SETTINGS
from headgate.destinations.interface import Budget, Discard, Request, Row
from headgate.spec.settings import duration_s, with_defaults

MOMENT = "2026-11-23T18:24:00.123Z"


def settings(**given: Any) -> dict[str, Any]:
    return with_defaults(SETTINGS, {"appId": "1535634150", **given})


def row(**message: Any) -> Row:
    outcome = HEAP.map_row({"messageId": "m1", "timestamp": MOMENT, **message}, settings())
    assert isinstance(outcome, Row)
    return outcome


def sent(endpoint: str, *rows: Row, **given: Any) -> Request:
    return HEAP.request(endpoint, rows, settings(**given))


def test_track_calls_travel_as_events() -> None:
    """Two events, in order, in Heap's bulk form."""
    first = row(type="track", userId="u1", event="Signed Up", properties={"plan": "pro"})
    second = row(type="track", userId="ü2", event="Left", messageId="m2")
    assert first.endpoint == second.endpoint == "track"
    request = sent("track", first, second)
    assert request.url == "https://heapanalytics.com/api/track"
    assert request.headers == {"Content-Type": "application/json"}
    assert json.loads(request.body) == {
        "app_id": "1535634150",
        "events": [
            {
                "identity": "u1",
                "event": "Signed Up",
                "properties": {"plan": "pro"},
                "timestamp": MOMENT,
                "idempotency_key": "m1",
            },
            {
                "identity": "ü2",
                "event": "Left",
                "properties": {},
                "timestamp": MOMENT,
                "idempotency_key": "m2",
            },
        ],
    }


def test_identify_calls_travel_as_users() -> None:
    """One user, and still the bulk form; a user without traits has empty properties."""
    request = sent("add_user_properties", row(type="identify", userId="u1"))
    assert request.url == "https://heapanalytics.com/api/add_user_properties"
    assert request.body == b'{"app_id":"1535634150","users":[{"identity":"u1","properties":{}}]}'


def test_what_is_not_known_is_left_out() -> None:
    """Heap takes the time of arrival for an event without a timestamp."""
    bare = row(type="track", userId="u1", event="Left", timestamp=None, messageId="")
    assert json.loads(bare.encoded).keys() == {"identity", "event", "properties"}


def test_notes_are_for_the_trace_not_for_heap() -> None:
    """The row tells what mapping dropped, its bytes do not."""
    noted = row(type="identify", userId="u1", traits={"plan": None})
    assert noted.notes == ("plan: dropped, it is null",)
    assert noted.encoded == b'{"identity":"u1","properties":{}}'


def test_a_message_without_a_user_is_discarded() -> None:
    """Heap refuses anonymous events from servers."""
    message = {"type": "track", "event": "Left", "anonymousId": "a1"}
    assert HEAP.map_row(message, settings()) == Discard("no_user_id")


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({}, "https://heapanalytics.com"),
        ({"region": "EU"}, "https://c.eu.heap-api.com"),
        ({"region": "EU", "apiBaseUrl": "http://127.0.0.1:9091"}, "http://127.0.0.1:9091"),
        ({"apiBaseUrl": "https://proxy.example.com/heap/"}, "https://proxy.example.com/heap"),
    ],
    ids=["US", "EU", "an address of one's own", "a proxy with a path"],
)
def test_requests_go_to_the_region_or_the_given_address(given: dict[str, str], base: str) -> None:
    """The given address wins over the region."""
    assert sent("track", **given).url == f"{base}/api/track"


def test_destinations_with_one_app_share_its_budget() -> None:
    """The scope is the App ID at one host: the sandbox does not spend what Heap allows."""
    budget = HEAP.budget(settings())
    assert budget == Budget("https://heapanalytics.com 1535634150", 15_000, 1_000)
    assert HEAP.budget(settings(nullTraits="")).scope == budget.scope
    assert HEAP.budget(settings(appId="2")).scope != budget.scope
    assert HEAP.budget(settings(apiBaseUrl="http://127.0.0.1:9091")).scope != budget.scope


def test_configured_limits_replace_the_documented_ones() -> None:
    """Each on its own, and 0 for none."""
    budget = HEAP.budget(settings(limits={"eventsPerMinute": 0}))
    assert (budget.rows_per_min, budget.rows_per_min_per_user) == (0, 1_000)


def test_only_profile_writes_hold_back_what_follows() -> None:
    """A later value must not land before an earlier one; events carry their own time."""
    endpoints = HEAP.endpoints
    assert {name: endpoint.writes_profile for name, endpoint in endpoints.items()} == {
        "add_user_properties": True,
        "track": False,
    }
    assert all(endpoint.max_rows == 1_000 for endpoint in endpoints.values())
    assert all(endpoint.max_body_bytes == 1_000_000 for endpoint in endpoints.values())


def test_the_catalog_lists_every_destination_under_its_id() -> None:
    """`metadataId: heap` in a workspace means this destination, called Heap in integrations objects."""
    assert CATALOG == {"heap": HEAP}
    assert HEAP.name == "Heap"
    assert HEAP.call_types == {"identify", "track"}


def test_settings_have_the_documented_names_and_defaults() -> None:
    """Only the App ID has to be given."""
    assert [setting.name for setting in SETTINGS if setting.required] == ["appId"]
    assert [setting.name for setting in SETTINGS if setting.secret] == ["deletionApiKey"]
    assert settings() == {
        "appId": "1535634150",
        "region": "US",
        "apiBaseUrl": None,
        "mapping": "heap",
        "limits": {"eventsPerMinute": 15_000, "eventsPerMinutePerUser": 1_000},
        "retryWindow": "4 hours",
        "junkIdentities": list(JUNK_IDENTITIES),
        "nullTraits": None,
        "heapScript": "current",
        "scriptHost": None,
        "secureCookie": False,
        "disableTextCapture": False,
        "ingestServer": None,
        "fallbackToCloud": False,
        "deletionApiKey": None,
        "consentCategories": [],
    }
    assert duration_s(settings()["retryWindow"]) == 4 * 3600
