"""curl in every form that people paste: each is answered with Segment's success, and reaches Heap once."""

import asyncio
import base64
import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from front_door import Fault, FrontDoor
from house import WRITE_KEY, House, needs_curl

from heap_view import attempts_by_key

pytestmark = needs_curl

SUCCESS = b'{"success": true}'
_CURL = ["curl", "--silent", "--show-error", "--max-time", "5"]
_JSON = ["-H", "Content-Type: application/json"]
_USER = ["-u", f"{WRITE_KEY}:"]
_NO_COLON = base64.b64encode(WRITE_KEY.encode()).decode()

Message = dict[str, Any]


def _text(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


def _with_key(message: Message) -> bytes:
    return _text({**message, "writeKey": WRITE_KEY})


def _batch(message: Message) -> bytes:
    return _text({"batch": [{**message, "type": "track"}]})


def _batch_with_key_last(message: Message) -> bytes:
    return _text({"batch": [{**message, "type": "track"}], "sentAt": None, "writeKey": WRITE_KEY})


def _zipped(message: Message) -> bytes:
    return gzip.compress(_text(message))


class Form(NamedTuple):
    """One way to post a track: curl's options, the body (`@` is its file), and the path."""

    slug: str
    options: list[str]
    body: Callable[[Message], bytes] = _text
    path: str = "/v1/track"


FORMS = [
    Form("json", [*_USER, *_JSON, "-d", "@"]),
    Form("json-option", [*_USER, "--json", "@"]),
    Form("binary-file", [*_USER, *_JSON, "--data-binary", "@"]),
    Form("default-form-type", [*_USER, "-d", "@"]),
    Form("no-content-type", [*_USER, "-H", "Content-Type:", "--data-binary", "@"]),
    Form("text-plain", [*_USER, "-H", "Content-Type: text/plain", "--data-binary", "@"]),
    Form("gzip", [*_USER, "-H", "Content-Encoding: gzip", "--data-binary", "@"], _zipped),
    Form("gzip-unannounced", [*_USER, "--data-binary", "@"], _zipped),
    Form("chunked", [*_USER, *_JSON, "-H", "Transfer-Encoding: chunked", "--data-binary", "@"]),
    Form(
        "chunked-gzip-text",
        [
            *_USER,
            *("-H", "Content-Type: text/plain", "-H", "Transfer-Encoding: chunked"),
            *("-H", "Content-Encoding: gzip", "--data-binary", "@"),
        ],
        _zipped,
    ),
    Form("upload-from-file", [*_USER, "-X", "POST", "-T", "@"]),
    Form("header-without-colon", ["-H", f"Authorization: Basic {_NO_COLON}", "-d", "@"]),
    Form("key-in-body", [*_JSON, "--data-binary", "@"], _with_key),
    Form("bearer-and-key-in-body", ["--oauth2-bearer", "token", "-d", "@"], _with_key),
    Form("http-1.0", [*_USER, *_JSON, "--http1.0", "-d", "@"]),
    Form("http-2-upgrade", [*_USER, *_JSON, "--http2", "-d", "@"]),
    Form("expect-continue", [*_USER, *_JSON, "-H", "Expect: 100-continue", "-d", "@"]),
    Form("browser-origin", [*_USER, "-H", "Origin: https://shop.example.com", "-d", "@"]),
    Form("short-path", [*_USER, *_JSON, "-d", "@"], path="/v1/t"),
    Form("trailing-slash", [*_USER, *_JSON, "-d", "@"], path="/v1/track/"),
    Form("double-slash", [*_USER, *_JSON, "-d", "@"], path="//v1/track"),
    Form("query", [*_USER, *_JSON, "-d", "@"], path="/v1/track?source=docs"),
    Form("batch", [*_USER, *_JSON, "-d", "@"], _batch, path="/v1/batch"),
    Form("batch-short", [*_JSON, "-d", "@"], _batch_with_key_last, path="/v1/b"),
    Form("import", [*_USER, *_JSON, "-d", "@"], _batch, path="/v1/import"),
]


def curl(*words: str) -> tuple[int, bytes, float]:
    """The answer's status, its body, and how many seconds curl took."""
    command = [*_CURL, "--write-out", "\n%{http_code} %{time_total}", *words]
    done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    assert done.returncode == 0, done.stderr.decode()
    body, _, tail = done.stdout.rpartition(b"\n")
    status, seconds = tail.split()
    return int(status), body, float(seconds)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.slug)
def test_every_form_is_accepted_and_arrives(house: House, form: Form, tmp_path: Path) -> None:
    """Whatever the encoding, the type, the protocol or the place of the key: 200, and one event at Heap."""
    gateway, heap = house
    message: Message = {
        "userId": f"curl {form.slug}",
        "event": "Café visited",
        "messageId": f"curl-{form.slug}",
        "timestamp": "2026-02-03T04:05:06.789Z",
        "properties": {"a": {"b": [1, "é"]}, "ok": True, "none": None},
    }
    file = tmp_path / "body"
    file.write_bytes(form.body(message))
    options = [f"@{file}" if option == "@" else option for option in form.options]
    if "-T" in options:
        options[options.index("-T") + 1] = str(file)

    status, body, seconds = curl(*options, gateway.url + form.path)
    assert (status, body) == (200, SUCCESS)
    assert seconds < 0.9, "curl waits a whole second for a 100 Continue that does not come"

    heap.until(lambda: heap.user(message["userId"])["events"])
    [event] = heap.user(message["userId"])["events"]
    assert event["idempotency_key"] == message["messageId"]
    assert event["timestamp"] == message["timestamp"]
    assert event["properties"] == {"a.b": '[1,"é"]', "ok": True}


def test_the_other_calls_go_through_their_paths(house: House) -> None:
    """The path says what a message is: traits reach Heap, what Heap cannot take does not."""
    gateway, heap = house
    calls: dict[str, Message] = {
        "identify": {"traits": {"plan": "paid", "deep": {"er": 1}}},
        "page": {"name": "Home"},
        "screen": {"name": "Welcome"},
        "group": {"groupId": "g"},
        "alias": {"previousId": "before"},
        "track": {"event": "Last"},
    }
    for call, fields in calls.items():
        body = json.dumps({"userId": "curl calls", **fields})
        assert curl(*_USER, "-d", body, f"{gateway.url}/v1/{call}")[:2] == (200, SUCCESS)
    heap.until(lambda: heap.user("curl calls")["events"])
    user = heap.user("curl calls")
    assert user["properties"] == {"plan": "paid", "deep.er": 1}
    assert [event["event"] for event in user["events"]] == ["Last"]
    assert len(heap.journal(identity="curl calls")) == 2


def test_the_same_message_twice_arrives_once(house: House) -> None:
    """A messageId that was accepted before is answered alike and goes nowhere."""
    gateway, heap = house
    for number, event in enumerate(["First", "First", "Last"]):
        body = json.dumps({"userId": "curl twice", "event": event, "messageId": event, "n": number})
        assert curl(*_USER, "-d", body, f"{gateway.url}/v1/track")[0] == 200
    heap.until(lambda: heap.user("curl twice")["events_total"] == 2)
    assert attempts_by_key(heap.journal(identity="curl twice")) == {"First": 1, "Last": 1}


@pytest.mark.parametrize("fault", Fault, ids=str)
async def test_curl_tries_again_when_told_to(house: House, fault: Fault) -> None:
    """With --retry the message arrives once, whatever the front door did to the first attempt."""
    gateway, heap = house
    user_id = f"curl {fault}"
    body = json.dumps({"userId": user_id, "event": "Retried", "messageId": user_id})
    retrying = ["--retry", "3", "--retry-all-errors", "--max-time", "10"]
    async with FrontDoor(gateway.port, [fault]) as door:
        words = [*_USER, *retrying, "-d", body, f"{door.url}/v1/track"]
        status, answered, _ = await asyncio.to_thread(curl, *words)
    assert (status, answered.endswith(SUCCESS), door.played) == (200, True, [fault])
    await asyncio.to_thread(heap.until, lambda: heap.user(user_id)["events"])
    assert attempts_by_key(heap.journal(identity=user_id)) == {user_id: 1}


def test_the_pixel_takes_a_message_in_its_query(house: House) -> None:
    """A picture in a mail counts as a track, and is a picture whatever happens."""
    gateway, heap = house
    message = {"userId": "curl pixel", "event": "Mail Opened", "writeKey": WRITE_KEY}
    data = base64.urlsafe_b64encode(_text(message)).decode().rstrip("=")
    pixel = f"{gateway.url}/v1/pixel/track"
    status, picture, _ = curl("-G", "--data-urlencode", f"data={data}", pixel)
    assert (status, picture[:6]) == (200, b"GIF89a")
    assert curl("-G", "-d", "data=%21", pixel)[:2] == (200, picture)
    heap.until(lambda: heap.user("curl pixel")["events"])


def test_a_preflight_lets_pages_send(house: House) -> None:
    """A browser that asks first is allowed what it asks for."""
    gateway, _ = house
    asked = ["Origin: https://shop.example.com", "Access-Control-Request-Headers: authorization"]
    headers = [word for header in asked for word in ("-H", header)]
    status, answer, _ = curl("-i", "-X", "OPTIONS", *headers, f"{gateway.url}/v1/t")
    assert status in (200, 204)
    assert b"access-control-allow-headers: authorization" in answer
    assert b"access-control-allow-origin: https://shop.example.com" in answer


@pytest.mark.parametrize(
    ("status", "code", "options"),
    [
        pytest.param(400, "bad_json", [*_USER, "-d", "{"], id="broken-json"),
        pytest.param(400, "no_write_key", ["-d", '{"userId":"u","event":"e"}'], id="no-write-key"),
        pytest.param(405, "method_not_allowed", ["-X", "PUT"], id="put"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_code(
    house: House, status: int, code: str, options: list[str]
) -> None:
    """A refusal for good is a JSON object that names its reason."""
    gateway, _ = house
    found, body, _ = curl(*options, f"{gateway.url}/v1/track")
    assert (found, json.loads(body)["code"]) == (status, code)
