"""What the doors answer: Segment's bodies, and the headers without which browsers retry wrongly.

Success is exactly 200 and `{"success": true}`: some libraries take any other 2xx for a failure, and
parse the body. CORS headers stand on errors too, and Retry-After is exposed, or browsers never see it.
"""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
MAX_RETRY_AFTER_S = 300

_JSON = "content-type: application/json\r\n"
_EXPOSED = "access-control-expose-headers: Retry-After\r\n"
_ANY_ORIGIN = f"access-control-allow-origin: *\r\n{_EXPOSED}".encode()
_THIS_ORIGIN = (
    b"access-control-allow-origin: %b\r\naccess-control-allow-credentials: true\r\n"
    b"vary: Origin\r\n" + _EXPOSED.encode()
)
_CLOSE = b"connection: close\r\n"
_DEFAULT_ALLOWED = "authorization, content-type, content-encoding, x-retry-count"


class Answer(NamedTuple):
    """A response: everything but the headers that depend on who asked."""

    head: bytes
    body: bytes
    status: int


def as_http(answer: Answer, origin: bytes | None, *, keep_alive: bool, has_body: bool) -> bytes:
    """The response as bytes. A page's origin is echoed, so that requests with credentials work too."""
    cors = _ANY_ORIGIN if origin is None else _THIS_ORIGIN % origin
    return b"%b%b%b\r\n%b" % (
        answer.head,
        cors,
        b"" if keep_alive else _CLOSE,
        answer.body if has_body else b"",
    )


def error_body(code: str, message: str) -> bytes:
    """The JSON body of every refusal, with the keys that Segment's libraries read: code, message, error."""
    return json.dumps(
        {"success": False, "code": code, "message": message, "error": message}
    ).encode()


def refused(status: int, code: str, message: str, headers: str = "") -> Answer:
    """A refusal for good: the sender should not try again."""
    return _answer(status, error_body(code, message), _JSON + headers)


def try_again(status: int, code: str, message: str, retry_after_s: int) -> Answer:
    """429 or 503 with the whole seconds to wait, 1 to 300."""
    seconds = max(1, min(MAX_RETRY_AFTER_S, retry_after_s))
    return refused(status, code, message, f"retry-after: {seconds}\r\n")


def method_not_allowed(allowed: tuple[str, ...]) -> Answer:
    """405 with the methods that the path takes."""
    listed = ", ".join((*allowed, "OPTIONS"))
    return refused(405, "method_not_allowed", f"this path takes {listed}", f"allow: {listed}\r\n")


def preflight(requested_headers: bytes | None) -> Answer:
    """What a browser asks before it posts across origins: every header it names is allowed."""
    allowed = requested_headers.decode("latin-1") if requested_headers else _DEFAULT_ALLOWED
    return _answer(
        200,
        b"",
        "access-control-allow-methods: GET, POST, OPTIONS\r\naccess-control-max-age: 86400\r\n"
        f"access-control-allow-headers: {allowed}\r\n",
    )


def healthy(lost: Iterable[tuple[int, int]]) -> Answer:
    """Messages can be accepted; what of the log was found to be missing or damaged is told all the same."""
    ranges = [{"first": first, "last": last} for first, last in lost]
    body = {"status": "ok"} | ({"lost": ranges} if ranges else {})
    return _answer(200, json.dumps(body).encode(), _JSON)


def timed_out(deadline_s: float) -> Answer:
    """408 for a sender that took too long."""
    return refused(408, "request_timeout", f"the request took longer than {deadline_s:g} s")


def _answer(status: int, body: bytes, headers: str) -> Answer:
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{headers}content-length: {len(body)}\r\n"
    )
    return Answer(head.encode("latin-1"), body, status)


SUCCESS = _answer(200, b'{"success": true}', _JSON)
PIXEL = _answer(200, GIF, "content-type: image/gif\r\ncache-control: no-store\r\n")
NOT_FOUND = refused(404, "not_found", "there is nothing at this path")
BAD_REQUEST = refused(400, "bad_request", "this is not valid HTTP")
HEAD_TOO_LARGE = refused(431, "head_too_large", "the request's head is larger than 64 KiB")
BODY_TOO_LARGE = refused(
    400, "body_too_large", "Exceed payload limit: a request may hold 512 KiB, decompressed"
)
MESSAGE_TOO_LARGE = refused(
    400, "message_too_large", "Exceed payload limit: a message may hold 32 KiB"
)
NO_WRITE_KEY = refused(
    400,
    "no_write_key",
    "no write key: send it as the user name of Basic authorization or as writeKey in the body",
)
BAD_JSON = refused(400, "bad_json", "the body is not a JSON object")
BUSY = try_again(503, "busy", "more requests are being received than memory allows", 1)
UNEXPECTED = try_again(503, "unexpected", "the server has a fault; its log says more", 10)
