"""The list of changes: nothing that Heap gets differently goes unnamed, and nothing else is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from headgate.destinations.heap.app_id import app_id_of
from headgate.destinations.heap.changes import Change, changes
from headgate.destinations.heap.destination import HEAP
from headgate.destinations.interface import Row
from headgate.spec.message import Envelope, normalize
from headgate.spec.settings import with_defaults

HERE = Path(__file__).parent
NOW_MS = 1_700_000_000_000


def cases() -> list[Any]:
    """Every case of both tables that Heap is sent, with settings that bring it there."""
    found = []
    for table in ("heap_cases.json", "classic_cases.json"):
        content = json.loads((HERE / table).read_text())
        found += [
            pytest.param(content["message"] | one["message"], one.get("settings", {}), id=f"{table}: {one['name']}")
            for one in content["cases"]
            if "discard" not in one["expected"]
        ]  # fmt: skip
    return found


def told(message: dict[str, Any], **settings: Any) -> tuple[Any, dict[str, Any], list[Change]]:
    """What the message holds, the properties that Heap is sent, and the changes."""
    known = normalize(json.dumps(message).encode(), Envelope("website", NOW_MS, 1))
    row = HEAP.map_row(known, with_defaults(HEAP.settings, {"appId": "1", **settings}))
    assert isinstance(row, Row)
    given = known.get("properties" if known["type"] == "track" else "traits")
    return given, json.loads(row.encoded)["properties"], changes(known, row.encoded)


@pytest.mark.parametrize(("message", "settings"), cases())
def test_every_property_is_either_unchanged_or_named(
    message: dict[str, Any], settings: dict[str, Any]
) -> None:
    """What is sent and is not in the message as it is, and what is in the message and not sent."""
    given, sent, found = told(message, **settings)
    given = given if isinstance(given, dict) else {}
    named = {one.name for one in found if one.name}
    assert named <= sent.keys()
    for name, value in sent.items():
        is_same = name in given and type(given[name]) is type(value) and given[name] == value
        assert is_same or name in named, name
    for name, value in given.items():
        if value in (None, {}) and name not in sent:
            assert any(one.path.endswith(f".{name}") and "dropped" in one.what for one in found)


def test_a_moment_that_was_corrected_is_named() -> None:
    """The sender's clock was ten seconds behind."""
    message = {
        "type": "track",
        "messageId": "m",
        "userId": "u",
        "event": "E",
        "timestamp": "2023-11-14T22:13:00.000Z",
        "sentAt": "2023-11-14T22:13:10.000Z",
    }
    _, _, found = told(message)
    assert found == [Change("timestamp", "timestamp", "became 2023-11-14T22:13:10.000Z")]


def test_of_two_values_under_one_name_the_first_is_said_to_go() -> None:
    """As the mapping has it."""
    message = {"type": "track", "messageId": "m", "userId": "u", "event": "E"}
    _, sent, found = told({**message, "properties": {"a.b": 1, "a": {"b": 2}}})
    assert sent == {"a.b": 2}
    assert [(one.path, one.name) for one in found] == [
        ("properties.a.b", ""),
        ("properties.a.b", "a.b"),
    ]


@pytest.mark.parametrize(
    ("pasted", "understood"),
    [
        ("1535634150", "1535634150"),
        ("  1535 634 150\n", "1535634150"),
        ('heap.load("1535634150");', "1535634150"),
        ("heap.load('1', {disableTextCapture: true})", "1"),
        ("<script>window.heap=…; heap.load( `7` )</script>", "7"),
        ("heap.load(1535634150)", "1535634150"),
        ("my app", "myapp"),
        ("", ""),
    ],
)
def test_an_app_id_is_found_in_what_people_paste(pasted: str, understood: str) -> None:
    """Anything else stays for the checks to refuse."""
    assert app_id_of(pasted) == understood
