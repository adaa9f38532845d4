"""What a page tells Heap, as the tester shows it: by the very tables that both mappings are held to."""

import json
from pathlib import Path
from typing import Any

import pytest

from headgate.destinations.heap.destination import HEAP
from headgate.destinations.heap.in_page import Call, calls_in_page
from headgate.destinations.interface import Discard
from headgate.spec.message import Envelope, normalize
from headgate.spec.settings import with_defaults

HERE = Path(__file__).parent
SERVER_ONLY = json.loads((HERE.parents[2] / "web" / "test" / "server_only.json").read_text())
ANONYMOUS = {"anonymousId": "a", "userId": None, "messageId": "m"}


def cases() -> list[Any]:
    """Those that hold in pages, each message laid over its table's own."""
    found = []
    for table in ("heap_cases.json", "classic_cases.json"):
        content = json.loads((HERE / table).read_text())
        found += [
            pytest.param(
                content["message"] | one["message"], one.get("settings", {}), one["expected"],
                id=f"{table}: {one['name']}",
            )
            for one in content["cases"]
            if one["name"] not in SERVER_ONLY
        ]  # fmt: skip
    return found


def told(message: dict[str, Any], **settings: Any) -> list[Call] | Discard:
    """What Heap's script would be told of a message."""
    known = normalize(json.dumps(message).encode(), Envelope("website", 1_700_000_000_000, 1))
    return calls_in_page(
        known, with_defaults(HEAP.settings, {"appId": "1", "junkIdentities": ["null"], **settings})
    )


@pytest.mark.parametrize(("message", "settings", "expected"), cases())
def test_the_calls_are_those_of_the_integration(
    message: dict[str, Any], settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Identity and properties for identify, name and properties for track, or nothing."""
    calls = told(message, **settings)
    if "discard" in expected:
        assert isinstance(calls, Discard)
        return
    assert not isinstance(calls, Discard)
    if message["type"] == "track":
        (call,) = calls
        seen = {"event": call.arguments[0], "properties": call.arguments[1]}
    else:
        identify, call = calls
        seen = {"identity": identify.arguments[0], "properties": call.arguments[0]}
    fields = [name for name in seen if name in expected]
    assert [str(seen[name]) for name in fields] == [str(expected[name]) for name in fields]


@pytest.mark.parametrize("mapping", ["heap", "segment-classic"])
def test_visitors_without_a_user_id_count(mapping: str) -> None:
    """Their traits are told, under no identity; their id is not made up."""
    calls = told({**ANONYMOUS, "type": "identify", "traits": {"plan": "pro"}}, mapping=mapping)
    assert not isinstance(calls, Discard)
    assert [one.method for one in calls] == ["addUserProperties"]
    assert calls[0].arguments[0]["plan"] == "pro"
    assert "id" not in calls[0].arguments[0]
    event = told({**ANONYMOUS, "type": "track", "event": "Seen"}, mapping=mapping)
    assert not isinstance(event, Discard)
    assert event[0].text.startswith('heap.track("Seen", {')


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"type": "page", "userId": "u"}, "unsupported_type"),
        ({"type": "track", "userId": "u", "event": ""}, "no_event_name"),
        ({"type": "track", "userId": "u", "event": "x" * 1025}, "event_name_too_long"),
        ({"type": "identify", "userId": "x" * 256}, "identity_too_long"),
        ({"type": "identify", "userId": " NULL "}, "junk_identity"),
        (
            {"type": "track", "userId": "u", "event": "E", "integrations": {"All": False}},
            "integrations_object",
        ),
    ],
)
def test_what_the_page_does_not_tell_has_a_reason(message: dict[str, Any], reason: str) -> None:
    """The one that the server has for it."""
    calls = told({**message, "messageId": "m"})
    assert isinstance(calls, Discard)
    assert calls.reason == reason
