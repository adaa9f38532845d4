"""The demo's shop: a page in device mode that shows each of its calls and what Heap received of it.

Served beside the sandbox, on its port, so that the page can follow the journal. What makes it a page in
device mode is the snippet that `headgate snippet` prints, and nothing else; its Content-Security-Policy
is the one that `docs/device-mode.md` tells people to use.
"""

import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from headgate.snippets import SNIPPETS, snippet_text

PATH = "/shop"
WRITE_KEY = "wk_shop"

_SNIPPET = next(one for one in SNIPPETS if one.name == "browser")
_FILES = {"shop.css": "text/css", "shop.js": "text/javascript", "icon.svg": "image/svg+xml"}


def with_shop(app: ASGIApp, gateway_url: str) -> ASGIApp:
    """`app` with the shop under `PATH`; the page sends to the gateway at `gateway_url`."""
    shop = Starlette(
        routes=[
            Route(PATH, _page(gateway_url)),
            *(Route(f"{PATH}/{name}", _file(name, kind)) for name, kind in _FILES.items()),
        ]
    )

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        is_shop = scope["path"] == PATH or scope["path"].startswith(f"{PATH}/")
        await (shop if is_shop else app)(scope, receive, send)

    return both


_Answering = Callable[[Request], Awaitable[Response]]


def _page(gateway_url: str) -> _Answering:
    text = _read("page.html").replace(
        "<!-- snippet -->", snippet_text(_SNIPPET, gateway_url, WRITE_KEY)
    )

    async def answer(request: Request) -> Response:
        if (
            request.url.hostname == "localhost"
        ):  # the page's settings know this machine by its number
            return RedirectResponse(request.url.replace(hostname="127.0.0.1"))
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}' 'self' {gateway_url}; "
            f"connect-src 'self' {gateway_url}; style-src 'self'; img-src 'self'; "
            "base-uri 'none'; form-action 'none'"
        )
        page = text.replace("<script>", f'<script nonce="{nonce}">')
        headers = {"content-security-policy": policy, "cache-control": "no-store"}
        return HTMLResponse(page, headers=headers)

    return answer


def _file(name: str, kind: str) -> _Answering:
    body = _read(name)

    async def answer(request: Request) -> Response:
        return Response(body, media_type=kind, headers={"cache-control": "no-cache"})

    return answer


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text()
