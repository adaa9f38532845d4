"""Under which address a page has reached this server: what the settings tell it to send to.

The gateway may stand behind a proxy that ends TLS and strips a path, so what the proxy says of the
original request counts first. All of it is the sender's word: it is taken only in a form that is an
address and nothing else, it never leaves the answer to the very request that carried it, and no shared
cache may keep that answer.
"""

import re
from typing import NamedTuple, Protocol

_HOST = re.compile(
    rb"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_PREFIX = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,10}")
_LOCAL = re.compile(rb"(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?")


class Addressed(Protocol):
    """The headers that tell where a request was sent to, each None when it was not there."""

    host: bytes | None
    origin: bytes | None
    forwarded_host: bytes | None
    forwarded_proto: bytes | None
    forwarded_prefix: bytes | None


class Address(NamedTuple):
    """`protocol` is http or https; `host` has the port, and the path prefix that a proxy strips."""

    protocol: str
    host: str


def own_address(request: Addressed) -> Address | None:
    """The address; None when the request names none that could be one."""
    host = _fitting(_HOST, request.forwarded_host) or _fitting(_HOST, request.host)
    if not host:
        return None
    prefix = _fitting(_PREFIX, (request.forwarded_prefix or b"").rstrip(b"/"))
    return Address(_protocol(request, host), (host + prefix).decode("ascii"))


def _protocol(request: Addressed, host: bytes) -> str:
    """Without a word from a proxy: what a page on https can reach is https, unless it is this machine."""
    said = _first(request.forwarded_proto).lower()
    if said in (b"http", b"https"):
        return said.decode()
    from_https = (request.origin or b"").startswith(b"https://")
    return "https" if from_https and not _LOCAL.fullmatch(host) else "http"


def _fitting(form: re.Pattern[bytes], value: bytes | None) -> bytes:
    first = _first(value)
    return first if form.fullmatch(first) else b""


def _first(value: bytes | None) -> bytes:
    """Proxies in a row each add theirs; the first is the one that the page has talked to."""
    return (value or b"").partition(b",")[0].strip()
