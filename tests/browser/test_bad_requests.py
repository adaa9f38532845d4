"""Bad requests for what pages load, byte for byte as they come over a connection: a clear answer, with
nothing of the request in it, that no browser takes for a page or a script.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from processes import Gateway

MARKUP = "<script>alert(1)</script>"
WORKSPACE = f"""\
sources:
  - {{slug: website, type: website, writeKeys: [wk_website, "{MARKUP}"]}}
  - {{slug: gone, enabled: false, writeKeys: [wk_gone]}}
destinations:
  - slug: heap
    sourceId: website
    connectionMode: device
    settings: {{appId: "1001", junkIdentities: ["{MARKUP}"], consentCategories: ["{MARKUP}"]}}
"""
DATABASE = "SQLite format 3"


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("bad-requests")
    (directory / "headgate.yaml").write_text(WORKSPACE)
    with Gateway(directory / "data", directory / "headgate.yaml") as one:
        yield one


def get(gateway: Gateway, path: str, *headers: str) -> Answered:
    """Asks for the path as it is written here; no client in between tidies it."""
    head = "\r\n".join(
        [f"GET {path} HTTP/1.1", "Host: shop.example", "Connection: close", *headers]
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as line:
        line.sendall(f"{head}\r\n\r\n".encode())
        received = b"".join(iter(lambda: line.recv(65_536), b""))
    text, _, body = received.decode().partition("\r\n\r\n")
    status, *fields = text.split("\r\n")
    named = dict(field.lower().split(": ", 1) for field in fields)
    return Answered(int(status.split(" ")[1]), named, body)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/projects/wk_nobody/settings", "unknown_write_key"),
        ("/v1/projects/wk_gone/settings", "source_disabled"),
        ("/v1/projects/../settings", "unknown_write_key"),
        ("/v1/projects/%2e%2e%2fworkspace.db/settings", "unknown_write_key"),
        ("/analytics.js/v1/wk_nobody/analytics.min.js", "unknown_write_key"),
        ("/analytics.js/v1/wk_gone/analytics.min.js", "source_disabled"),
        ("/analytics.js/v1/wk_website/analytics.js", "not_found"),
        ("/a/<b>wk_nobody/l.js", "unknown_write_key"),
        ("/a/%3Cb%3Ewk_nobody/s", "unknown_write_key"),
        ("/analytics-next/bundles/../../../../etc/passwd", "not_found"),
        ("/analytics-next/bundles/..%2f..%2fworkspace.db", "not_found"),
        ("/analytics-next/bundles/%2e%2e/versions.json", "not_found"),
        ("/analytics-next/bundles/..\\versions.json", "not_found"),
        ("/analytics-next/bundles/<b>.js", "not_found"),
        ("/a/c/.made-from", "not_found"),
        ("/a/c/heap.js%00", "not_found"),
        ("/next-integrations/integrations/../heap.dynamic.js.gz", "not_found"),
        ("/next-integrations/integrations/<b>/1/<b>.dynamic.js.gz", "not_found"),
        ("/next-integrations/integrations/heap/../../x/heap.dynamic.js.gz", "not_found"),
    ],
)
def test_what_is_not_there_is_said_without_an_echo(gateway: Gateway, path: str, code: str) -> None:
    """JSON with a code, the same whatever was asked for."""
    answer = get(gateway, path)
    assert (answer.status, answer.json["code"]) == (404, code)
    assert answer.headers["content-type"] == "application/json"
    for echoed in ("wk_nobody", "<b>", "passwd", "..", DATABASE):
        assert echoed not in answer.body


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Proto"])
@pytest.mark.parametrize("value", ['"><script>', "javascript:", "a b", "//evil", "x" * 300, ""])
def test_headers_that_are_no_address_are_passed_over(
    gateway: Gateway, header: str, value: str
) -> None:
    """The settings name the host that was asked."""
    settings = get(gateway, "/v1/projects/wk_website/settings", f"{header}: {value}").json
    segment = settings["integrations"]["Segment.io"]
    assert (segment["protocol"], segment["apiHost"]) == ("http", "shop.example/v1")


def test_markup_in_settings_and_keys_stays_text(gateway: Gateway) -> None:
    """It comes back as the JSON that it was stored as, under a type that no browser runs."""
    path = f"/v1/projects/{MARKUP.replace('<', '%3C').replace('/', '%2F')}/settings"
    answer = get(gateway, path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    integrations = answer.json["integrations"]
    assert integrations["Segment.io"]["apiKey"] == MARKUP
    assert integrations["Heap"]["junkIdentities"] == [MARKUP]
    assert integrations["Heap"]["consentSettings"] == {"categories": [MARKUP]}


def test_the_library_holds_nothing_of_the_request(gateway: Gateway) -> None:
    """It is the same file for every key, so no key can become code."""
    plain = get(gateway, "/analytics.js/v1/wk_website/analytics.min.js")
    odd = get(gateway, f"/analytics.js/v1/{MARKUP.replace('<', '%3C')}/analytics.min.js?x={MARKUP}")
    assert (plain.status, odd.status) == (200, 200)
    assert odd.body == plain.body
    assert MARKUP not in odd.body
