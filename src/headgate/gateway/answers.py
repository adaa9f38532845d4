"""What the doors answer: Segment's bodies, and the headers without which browsers retry wrongly.

Success is exactly 200 and `{"success": true}`: some libraries take any other 2xx for a failure, and
parse the body. CORS headers stand on errors too, and Retry-After is exposed, or browsers never see it.
"""

from typing import Any, NamedTuple

from headgate.http import error_body

Header = tuple[bytes, bytes]

SUCCESS_BODY = b'{"success": true}'
GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
MAX_RETRY_AFTER_S = 300

_JSON = (b"content-type", b"application/json")
_ANY_ORIGIN = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retry-After"),
)
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-max-age", b"86400"),
)
_DEFAULT_ALLOWED = b"authorization, content-type, content-encoding, x-retry-count"


class Answer(NamedTuple):
    """A response, without the CORS headers that depend on who asked."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = (_JSON,)


SUCCESS = Answer(200, SUCCESS_BODY)
PIXEL = Answer(200, GIF, ((b"content-type", b"image/gif"), (b"cache-control", b"no-store")))
NOT_FOUND = Answer(404, error_body("not_found", "there is nothing at this path"))


def refused(status: int, code: str, message: str) -> Answer:
    """A refusal for good: the sender should not try again."""
    return Answer(status, error_body(code, message))


def try_again(status: int, code: str, message: str, retry_after_s: int) -> Answer:
    """429 or 503 with the whole seconds to wait, 1 to 300."""
    seconds = max(1, min(MAX_RETRY_AFTER_S, retry_after_s))
    headers = (_JSON, (b"retry-after", str(seconds).encode()))
    return Answer(status, error_body(code, message), headers)


def method_not_allowed(allowed: tuple[str, ...]) -> Answer:
    """405 with the methods that the path takes."""
    listed = ", ".join((*allowed, "OPTIONS"))
    body = error_body("method_not_allowed", f"this path takes {listed}")
    return Answer(405, body, (_JSON, (b"allow", listed.encode())))


def preflight(request_headers: list[Header]) -> Answer:
    """What a browser asks before it posts across origins: every header it names is allowed."""
    asked = _header(request_headers, b"access-control-request-headers") or _DEFAULT_ALLOWED
    return Answer(204, b"", (*_PREFLIGHT, (b"access-control-allow-headers", asked)))


def cors(request_headers: list[Header]) -> tuple[Header, ...]:
    """The headers that let a page read the answer; its origin is echoed so that credentials work too."""
    origin = _header(request_headers, b"origin")
    if origin is None:
        return _ANY_ORIGIN
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    )


async def send_answer(send: Any, answer: Answer, request_headers: list[Header]) -> None:
    """Writes the answer to an ASGI connection."""
    length = (b"content-length", str(len(answer.body)).encode())
    headers = [*answer.headers, *cors(request_headers)]
    if answer.status != 204:
        headers.append(length)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _header(headers: list[Header], wanted: bytes) -> bytes | None:
    for name, value in headers:
        if name == wanted:
            return value
    return None
