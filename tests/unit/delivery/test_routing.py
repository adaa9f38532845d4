"""Whether a message is meant for a destination, as a table of what people ask for."""

from typing import Any

import pytest

from headgate.delivery.routing import Removed, Router
from headgate.destinations.catalog import CATALOG
from headgate.destinations.interface import Discard, Row
from headgate.workspace.document import as_workspace, checked

HEAP = CATALOG["heap"]
SETTINGS = {"heap": HEAP.settings}
DEVICE = {"connectionMode": "device"}
FAILED = {"_metadata": {"bundled": [], "failedInitializations": ["Heap"]}}
BUNDLED = {"_metadata": {"bundled": ["Heap", "Segment.io"]}}


def router(*, beside: dict[str, Any] | None = None, **fields: Any) -> Router:
    """The router of a destination; what is no field of a destination is one of its settings."""
    own = {name: fields.pop(name) for name in ("enabled", "connectionMode") if name in fields}
    destinations = [_destination("heap", fields) | own]
    if beside is not None:
        destinations.append(_destination("beside", {}) | beside)
    document = checked(
        {
            "sources": [{"slug": "web", "type": "website", "writeKeys": ["wk"]}],
            "destinations": destinations,
        },
        catalog=SETTINGS,
        environment={},
    )
    workspace = as_workspace(document, catalog=SETTINGS, environment={})
    return Router(workspace.destinations[0], HEAP, workspace)


def message(**fields: Any) -> dict[str, Any]:
    """A track call as `normalize` leaves it."""
    usual = {"type": "track", "messageId": "m1", "userId": "ann", "event": "E"}
    return {name: value for name, value in (usual | fields).items() if value is not None}


def reason(decision: Row | Discard) -> str:
    """Why not; "" when it goes."""
    return decision.reason if isinstance(decision, Discard) else ""


@pytest.mark.parametrize(
    ("settings", "fields", "expected"),
    [
        ({}, {}, ""),
        ({}, {"type": "identify"}, ""),
        ({"enabled": False}, {}, "destination_disabled"),
        ({"enabled": False}, {"type": "page"}, "destination_disabled"),
        ({}, {"type": "page"}, "unsupported_type"),
        ({}, {"type": "screen"}, "unsupported_type"),
        ({}, {"type": "group"}, "unsupported_type"),
        ({}, {"type": "alias"}, "unsupported_type"),
        ({}, {"userId": None}, "no_user_id"),
        ({}, {"userId": ""}, "no_user_id"),
        ({}, {"userId": "null"}, "junk_identity"),
        ({}, {"userId": " UNDEFINED "}, "junk_identity"),
        ({}, {"userId": "0"}, "junk_identity"),
        ({}, {"userId": "[object Object]"}, "junk_identity"),
        ({}, {"userId": "00"}, ""),
        ({}, {"userId": "guest-7"}, ""),
        ({"junkIdentities": []}, {"userId": "null"}, ""),
        ({"junkIdentities": [" Nobody "]}, {"userId": "nobody"}, "junk_identity"),
        ({"junkIdentities": ["nobody"]}, {"userId": "null"}, ""),
        ({}, {"integrations": {"Heap": False}}, "integrations_object"),
        ({}, {"integrations": {"All": False}}, "integrations_object"),
        ({}, {"integrations": {"all": False}}, "integrations_object"),
        ({}, {"integrations": {"All": False, "Heap": True}}, ""),
        ({}, {"integrations": {"All": False, "Heap": {"a": 1}}}, ""),
        ({}, {"integrations": {"All": False, "heap": True}}, "integrations_object"),
        ({}, {"integrations": {"All": True, "Heap": False}}, "integrations_object"),
        ({}, {"integrations": "no"}, ""),
        (DEVICE, {}, "device_mode"),
        (DEVICE, FAILED, "device_mode"),
        (DEVICE | {"fallbackToCloud": True}, FAILED, ""),
        (DEVICE | {"fallbackToCloud": True}, {}, "device_mode"),
        (DEVICE | {"fallbackToCloud": True}, BUNDLED, "device_mode"),
        ({}, BUNDLED, "sent_by_page"),
        ({}, {"_metadata": {"bundled": ["Heap"], "failedInitializations": ["Heap"]}}, ""),
        ({}, {"_metadata": {"bundled": ["Heap"], "bundledIds": ["elsewhere"]}}, "sent_by_page"),
        ({}, {"_metadata": {"bundled": ["Segment.io"]}}, ""),
        ({}, {"_metadata": {"bundled": [], "unbundled": ["Heap"]}}, ""),
        ({}, {"_metadata": {}}, ""),
        ({}, {"_metadata": "odd"}, ""),
        ({}, {"_metadata": {"bundled": "Heap"}}, ""),
        ({"consentCategories": ["ads"]}, {}, ""),
        (
            {"consentCategories": ["ads"]},
            {"context": {"consent": {"categoryPreferences": {}}}},
            "consent",
        ),
        (
            {"consentCategories": ["ads"]},
            {"context": {"consent": {"categoryPreferences": {"ads": True}}}},
            "",
        ),
        ({}, {"event": None}, "no_event_name"),
    ],
)
def test_a_message_goes_or_is_discarded_for_one_reason(
    settings: dict[str, Any], fields: dict[str, Any], expected: str
) -> None:
    """The first reason that people would name."""
    assert reason(router(**settings).row(message(**fields), "web")) == expected


def test_a_page_that_has_a_device_mode_destination_explains_a_bundled_heap() -> None:
    """Then the server's own destination is meant beside it, not instead."""
    assert reason(router(beside=DEVICE).row(message(**BUNDLED), "web")) == ""
    assert reason(router(beside={}).row(message(**BUNDLED), "web")) == "sent_by_page"


def test_a_page_that_names_its_destination_has_sent_to_no_other() -> None:
    """Switching off the page's own destination costs the one beside it nothing."""
    switched_off = DEVICE | {"enabled": False}
    by_other = {"_metadata": {"bundled": ["Heap"], "bundledIds": ["beside"]}}
    by_itself = {"_metadata": {"bundled": ["Heap"], "bundledIds": ["heap"]}}
    assert reason(router(beside=switched_off).row(message(**by_other), "web")) == ""
    assert reason(router(beside=switched_off).row(message(**by_itself), "web")) == "sent_by_page"


def told(value: Any) -> dict[str, Any]:
    """What Engage says of one trait."""
    context = {"personas": {"computation_key": "orders"}}
    return message(type="identify", traits={"orders": value}, context=context)


def test_what_engage_says_goes_from_the_server_in_device_mode_too() -> None:
    """No page could say it."""
    in_page = router(connectionMode="device")
    assert reason(in_page.row(told(1), "engage/heap")) == ""
    assert reason(in_page.row(told(1), "web")) == "device_mode"


def test_a_trait_without_value_goes_when_settings_have_something_to_say_instead() -> None:
    """Heap cannot unset a property."""
    assert reason(router().row(told(None), "engage/heap")) == "null_trait"
    assert reason(router(nullTraits=0).row(told(None), "engage/heap")) == ""
    assert reason(router().row(told(None), "web")) == ""


def test_routers_are_equal_when_they_decide_alike() -> None:
    """So an unrelated change of the workspace maps nothing again."""
    assert router() == router(beside={})
    assert router() != router(beside=DEVICE)
    assert router() != router(appId="2")
    assert router() != Removed()
    assert Removed() == Removed()


def test_a_removed_destination_wants_nothing() -> None:
    """Its last messages are settled as such."""
    assert reason(Removed().row(message(), "web")) == "destination_removed"


def _destination(slug: str, settings: dict[str, Any]) -> dict[str, Any]:
    settings = {"appId": "1"} | settings
    return {"slug": slug, "metadataId": "heap", "sourceId": "web", "settings": settings}
