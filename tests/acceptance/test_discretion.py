"""What the server says aloud holds nothing of what it was given: logs travel further than data directories."""

import contextlib
import json
import os
import signal
import socket
import struct
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from house import WRITE_KEY, ask, headers, send, track, workspace_yaml

from heap_view import Heap
from processes import Gateway, eventually, is_running

_ANSWERS_WITHIN_S = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_SECRETS = {
    "write key": WRITE_KEY,
    "next write key": "wk_next_kept_to_oneself",
    "unknown write key": "wk_stranger_kept_to_oneself",
    "token": "token-kept-to-oneself",
    "header": "header-kept-to-oneself",
    "cookie": "cookie-kept-to-oneself",
    "deletion key": "deletion-key-kept-to-oneself",
    "next deletion key": "deletion-key-changed-and-kept-to-oneself",
    "userId": "user-kept-to-oneself",
    "messageId": "message-kept-to-oneself",
    "property": "property-kept-to-oneself",
    "trait": "trait-kept-to-oneself",
    "context": "context-kept-to-oneself",
    "body that is no JSON": "junk-kept-to-oneself",
    "query": "query-kept-to-oneself",
    "path": "path-kept-to-oneself",
    "answer": "answer-kept-to-oneself",
    "redirect": "redirect-kept-to-oneself",
}


@pytest.fixture
def config(heap: Heap, tmp_path: Path) -> Path:
    """A headgate.yaml whose secrets are written out in it."""
    path = tmp_path / "headgate.yaml"
    path.write_text(_workspace(heap, "write key", "deletion key"))
    return path


def test_the_output_holds_no_secret_and_no_message(
    gateway: Gateway, heap: Heap, config: Path
) -> None:
    """Over a run of everything that goes wrong: bad requests, every answer of Heap, deaths, other settings."""
    _post_what_is_taken(gateway)
    _post_what_is_refused(gateway)
    _send_what_is_no_request(gateway)
    _have_heap_fail(gateway, heap)
    _kill_the_worker(gateway)
    gateway.signal(signal.SIGTERM)
    assert gateway.exits() == 0

    config.write_text(_workspace(heap, "next write key", "next deletion key"))
    with Gateway(gateway.data_dir, config) as following:
        send(following, _message("after"), key=_SECRETS["next write key"])
        heap.until(lambda: "after" in heap.event_names(f"after-{_SECRETS['userId']}"))
        following.kill()

    said = gateway.out + gateway.err + following.out + following.err
    assert "the worker ended with status -9" in said
    assert "takes messages at" in following.out
    assert [name for name, secret in _SECRETS.items() if secret in said] == [], said


def _workspace(heap: Heap, write_key: str, deletion_key: str) -> str:
    """The workspace with these of the secrets."""
    setting = f'settings: {{deletionApiKey: "{_SECRETS[deletion_key]}", '
    return workspace_yaml(heap, _SECRETS[write_key]).replace("settings: {", setting)


def _message(event: str) -> dict[str, Any]:
    """A track call that is full of secrets."""
    call = track(f"{event}-{_SECRETS['userId']}", event, private=_SECRETS["property"])
    call["messageId"] = f"{event}-{_SECRETS['messageId']}"
    return {**call, "context": {"page": {"url": _SECRETS["context"]}}}


def _identify() -> dict[str, Any]:
    traits = {"private": _SECRETS["trait"]}
    return {"type": "identify", "userId": _SECRETS["userId"], "traits": traits}


def _post_what_is_taken(gateway: Gateway) -> None:
    for number in range(3):
        send(gateway, _message(f"taken-{number}"), _identify())
    nameless = {"type": "track", "userId": _SECRETS["userId"]}
    send(gateway, nameless, {**_message("odd"), "properties": _SECRETS["property"]})
    send(gateway, {**_message("guest"), "userId": "guest"}, _SECRETS["property"])  # type: ignore[arg-type]


def _post_what_is_refused(gateway: Gateway) -> None:
    assert ask(gateway, "POST", "/v1/track", _message("a"), _SECRETS["unknown write key"])[0] == 200
    assert ask(gateway, "POST", f"/v1/{_SECRETS['path']}", _message("b"))[0] == 404
    assert ask(gateway, "DELETE", f"/v1/track?{_SECRETS['query']}", _message("c"))[0] == 405
    pixel = f"/v1/pixel/track?data={_SECRETS['query']}&writeKey={_SECRETS['unknown write key']}"
    assert ask(gateway, "GET", pixel)[0] == 200
    large = {**_message("large"), "properties": {"filling": _SECRETS["property"] * 4_000}}
    assert ask(gateway, "POST", "/v1/track", large)[0] == 400


def _send_what_is_no_request(gateway: Gateway) -> None:
    """Byte by byte: no JSON, a token, a broken key, headers of every kind, no HTTP, half a body and a reset."""
    junk = b'{"type": "track", "' + _SECRETS["body that is no JSON"].encode()
    basic = headers()["Authorization"]
    strange = b64encode(f"{_SECRETS['unknown write key']}:{_SECRETS['token']}".encode()).decode()
    for authorization in (basic, f"Bearer {_SECRETS['token']}", f"Basic {strange}", "Basic %%%"):
        assert b"HTTP/1.1 " in _exchange(gateway, _request(authorization, len(junk)) + junk)
    zipped = b"Content-Encoding: gzip\r\n"
    assert b" 400 " in _exchange(gateway, _request(basic, len(junk), zipped) + junk)
    for no_request in (junk, b"GET /health HTTP/1.1\r\n" + junk + b"\r\n\r\n"):
        assert b" 400 " in _exchange(gateway, no_request + b"\r\n\r\n")
    with _line_to(gateway) as line:
        line.sendall(_request(basic, 10_000) + junk)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _have_heap_fail(gateway: Gateway, heap: Heap) -> None:
    """Each kind of answer once, whole and for a message alone, with what Heap would say about it."""
    body = json.dumps({"error": f"{_SECRETS['answer']}: {_SECRETS['userId']}"})
    answers: list[dict[str, Any]] = [
        {"status": 400, "body": body},
        {"status": 503, "body": body, "headers": {"Retry-After": _SECRETS["header"]}},
        {"status": 302, "headers": {"Location": f"{heap.url}/{_SECRETS['redirect']}"}},
        {"status": 401, "body": body},
        {"connection": "reset"},
        {"connection": "reset-mid-reply"},
        {"status": 200, "body": body, "headers": {"Set-Cookie": _SECRETS["cookie"]}},
    ]
    heap.play(*({"match": {"path": "/api/*"}, "times": 1, "answer": one} for one in answers))
    for number in range(len(answers)):
        send(gateway, _message(f"met-{number}"))
    heap.until(lambda: all(rule["played"] for rule in heap.ask("GET", "/faults")["rules"]))


def _kill_the_worker(gateway: Gateway) -> None:
    """With messages under way."""
    killed = gateway.worker()
    send(gateway, _message("under-way"))
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: is_running(gateway.worker(killed)), within_s=10.0)


def _request(authorization: str, length: int, more: bytes = b"") -> bytes:
    return (
        (
            f"POST /v1/track HTTP/1.1\r\nHost: h\r\nAuthorization: {authorization}\r\n"
            f"Cookie: {_SECRETS['cookie']}\r\nX-Trace: {_SECRETS['header']}\r\n"
            f"Connection: close\r\nContent-Length: {length}\r\n"
        ).encode()
        + more
        + b"\r\n"
    )


def _exchange(gateway: Gateway, request: bytes) -> bytes:
    """Everything that comes back until the gateway hangs up."""
    answer = b""
    with _line_to(gateway) as line:
        line.sendall(request)
        with contextlib.suppress(ConnectionResetError):
            while chunk := line.recv(65_536):
                answer += chunk
    return answer


@contextmanager
def _line_to(gateway: Gateway) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", gateway.port), _ANSWERS_WITHIN_S) as line:
        yield line
