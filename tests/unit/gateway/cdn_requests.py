"""Requests to the CDN and their answers taken apart, without a connection."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import factories
from headgate.destinations.heap.settings import SETTINGS
from headgate.gateway.cdn import Cdn
from headgate.gateway.cdn_files import DIRECTORY
from headgate.spec.settings import with_defaults
from headgate.workspace.model import Destination, Source


class Asked:
    """A request as the doors hand it over; headers by attribute, None when they were not sent."""

    def __init__(self, path: str, method: str = "GET", /, **headers: bytes) -> None:
        self.path = path
        self.method = method
        self.host: bytes | None = headers.get("host", b"events.example.com")
        self.origin = headers.get("origin")
        self.forwarded_host = headers.get("forwarded_host")
        self.forwarded_proto = headers.get("forwarded_proto")
        self.forwarded_prefix = headers.get("forwarded_prefix")
        self.accept_encoding = headers.get("accept_encoding")
        self.if_none_match = headers.get("if_none_match")


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def get(cdn: Cdn, path: str, method: str = "GET", /, **headers: bytes) -> Answered:
    """Asks for a path that is the CDN's."""
    answer = cdn(Asked(path, method, **headers))
    assert answer is not None, f"{path} is none of the CDN's"
    lines = answer.head.decode().splitlines()[1:]
    named = dict(line.split(": ", 1) for line in lines)
    return Answered(answer.status, named, answer.body)


def destination(slug: str = "heap", source: str = "website", **fields: Any) -> Destination:
    """An enabled Heap destination in device mode; settings that are not given have their defaults."""
    given = {"appId": "1535634150", **fields.pop("settings", {})}
    usual: dict[str, Any] = {
        "slug": slug,
        "name": "Heap",
        "metadata_id": "heap",
        "source_id": source,
        "enabled": True,
        "connection_mode": "device",
        "settings": with_defaults(SETTINGS, given),
    }
    return Destination(**(usual | fields))


def cdn_of(
    *sources: Source, destinations: Sequence[Destination] = (), directory: Path = DIRECTORY
) -> Cdn:
    """A CDN of a workspace that stays as it is."""
    workspace = factories.workspace(*sources, destinations=destinations)
    return Cdn(lambda: (1, workspace), directory)
