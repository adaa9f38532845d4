"""What the acceptance tests set up: a workspace, and a gateway that delivers to a Heap."""

import http.client
import json
import os
import shutil
from base64 import b64encode
from typing import Any, NamedTuple

import pytest

from heap_view import Heap
from processes import Gateway

WRITE_KEY = "wk_acceptance"

# CI installs curl; elsewhere a machine may do without it.
needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None and os.environ.get("CI") != "true", reason="curl is missing"
)
ANSWERS_WITHIN_S = 10.0


class House(NamedTuple):
    """A running gateway and the Heap that it delivers to."""

    gateway: Gateway
    heap: Heap


def workspace_yaml(heap: Heap, write_key: str = WRITE_KEY, *, enabled: bool = True) -> str:
    """A workspace with one source and one destination."""
    return f"""\
sources:
  - {{slug: website, name: Website, type: server, writeKeys: [{write_key}]}}
destinations:
  - slug: heap
    name: Heap
    metadataId: heap
    sourceId: website
    enabled: {str(enabled).lower()}
    settings: {{appId: "1535634150", apiBaseUrl: "{heap.url}"}}
"""


class Answer(NamedTuple):
    """What a door said."""

    status: int
    body: bytes
    headers: dict[str, str]


def ask(gateway: Gateway, method: str, path: str, body: Any = None, key: str = WRITE_KEY) -> Answer:
    """One request on a connection of its own."""
    line = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=ANSWERS_WITHIN_S)
    try:
        line.request(method, path, None if body is None else json.dumps(body), headers(key))
        return answer_on(line)
    finally:
        line.close()


def answer_on(line: http.client.HTTPConnection) -> Answer:
    """The answer to the request that was sent on the connection."""
    answer = line.getresponse()
    named = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, answer.read(), named)


def headers(key: str = WRITE_KEY) -> dict[str, str]:
    """The headers of a tracking call: the write key, as libraries send it."""
    return {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}


def track(user_id: str, message_id: str, **properties: Any) -> dict[str, Any]:
    """A track call; its event is named after its id."""
    return {
        "type": "track",
        "userId": user_id,
        "event": message_id,
        "messageId": message_id,
        "properties": properties,
    }


def send(gateway: Gateway, *messages: dict[str, Any], key: str = WRITE_KEY) -> None:
    """Posts one batch, which has to be accepted."""
    answer = ask(gateway, "POST", "/v1/batch", {"batch": messages}, key)
    assert (answer.status, answer.body) == (200, b'{"success": true}'), answer
