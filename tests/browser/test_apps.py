"""Apps: the settings that the mobile libraries fetch, and uploads in the form in which each sends them.

The libraries need a phone to run on; their forms were read in their sources:
https://github.com/segmentio/analytics-kotlin, https://github.com/segmentio/analytics-swift,
https://github.com/segmentio/analytics-react-native
"""

import gzip
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from heap_view import Heap
from processes import Gateway

WORKSPACE = """\
sources:
  - {{slug: app, type: mobile, writeKeys: [wk_app]}}
destinations:
  - slug: heap
    name: Heap
    metadataId: heap
    sourceId: app
    settings: {{appId: "1535634150", apiBaseUrl: "{heap}"}}
"""


class Library(NamedTuple):
    """How a library posts a batch. None of them sends Authorization; the key comes after the batch."""

    name: str
    headers: dict[str, str]
    packs: bool = False
    in_chunks: bool = False


LIBRARIES = [
    Library(
        "analytics-kotlin",
        {"Content-Type": "text/plain", "Content-Encoding": "gzip"},
        packs=True,
        in_chunks=True,
    ),
    Library("analytics-swift", {"Content-Type": "application/json; charset=utf-8"}),
    Library("@segment/analytics-react-native", {"Content-Type": "application/json; charset=utf-8"}),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Heap]]:
    directory: Path = tmp_path_factory.mktemp("apps")
    with Heap() as heap:
        (directory / "headgate.yaml").write_text(WORKSPACE.format(heap=heap.url))
        with Gateway(directory / "data", directory / "headgate.yaml") as gateway:
            yield gateway, heap


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_what_an_app_sends_is_delivered_by_the_server(
    house: tuple[Gateway, Heap], library: Library
) -> None:
    """The library fetches its settings, says on every message what follows from them, and uploads."""
    gateway, heap = house
    settings = fetched_settings(gateway)
    user_id = f"user of {library.name}"
    upload(gateway, library, batch(library, user_id, unbundled_by(settings)))

    heap.until(lambda: heap.event_names(user_id) == ["Song Played"])
    assert heap.user(user_id)["properties"]["plan"] == "pro"


def test_settings_hold_what_the_libraries_expect(house: tuple[Gateway, Heap]) -> None:
    """Objects where they decode objects, and no address that would replace the app's own."""
    settings = fetched_settings(house[0])
    assert all(isinstance(one, dict) for one in settings["integrations"].values())
    assert all(isinstance(settings[name], dict) for name in ("plan", "edgeFunction", "metrics"))
    assert settings["integrations"]["Segment.io"]["apiKey"] == "wk_app"
    assert "apiHost" not in settings["integrations"]["Segment.io"]


def fetched_settings(gateway: Gateway) -> dict[str, Any]:
    """The settings, from the path that all three append to their CDN host."""
    line = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10.0)
    try:
        line.request("GET", "/v1/projects/wk_app/settings")
        answer = line.getresponse()
        assert answer.status == 200
        settings: dict[str, Any] = json.loads(answer.read())
        return settings
    finally:
        line.close()


def unbundled_by(settings: dict[str, Any]) -> list[str]:
    """What a library without device-mode plugins counts as delivered by the server."""
    listed: list[str] = [name for name in settings["integrations"] if name != "Segment.io"]
    return [*listed, *settings["integrations"]["Segment.io"]["unbundledIntegrations"]]


def batch(library: Library, user_id: str, unbundled: list[str]) -> bytes:
    """An identify and a track call as they lie in a library's file, the write key last."""
    common: dict[str, Any] = {
        "userId": user_id,
        "anonymousId": "3f9d3b6e-6d2f-4d9e-8a51-0c9c5d1f2a7b",
        "timestamp": "2026-11-23T18:24:00.123Z",
        "integrations": {},
        "context": {"library": {"name": library.name, "version": "1.25.0"}},
        "_metadata": {"bundled": [], "unbundled": unbundled, "bundledIds": []},
    }
    calls: list[dict[str, Any]] = [
        {"type": "identify", "messageId": f"{library.name}-1", "traits": {"plan": "pro"}},
        {"type": "track", "messageId": f"{library.name}-2", "event": "Song Played"},
    ]
    body = {
        "batch": [common | call for call in calls],
        "sentAt": "2026-11-23T18:24:30.000Z",
        "writeKey": "wk_app",
    }
    return json.dumps(body).encode()


def upload(gateway: Gateway, library: Library, body: bytes) -> None:
    """Posts the batch as the library does; it has to be taken."""
    sent = gzip.compress(body) if library.packs else body
    pieces = (sent[at : at + 100] for at in range(0, len(sent), 100))
    line = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10.0)
    try:
        line.request("POST", "/v1/b", pieces if library.in_chunks else sent, library.headers)
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"success": true}')
    finally:
        line.close()
