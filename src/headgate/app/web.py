"""The web app: every page of `pages/`, behind the guard, with headers that let nothing from elsewhere in.

Built when it is first asked for (`private.py`), so that a server whose app nobody opens pays nothing for it.
"""

import asyncio
import logging
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from headgate.app.assets import MOUNTED_AT as ASSETS_AT
from headgate.app.figures import stored_in
from headgate.app.guard import Guard, TooLarge
from headgate.app.pages import (
    access,
    api,
    audiences,
    audit,
    builder,
    catalog,
    connect,
    debugger,
    delivery,
    destinations,
    door,
    failures,
    file,
    first,
    keys,
    live,
    messages,
    overview,
    people,
    profiles,
    sandbox,
    search,
    sources,
    tester,
    upkeep,
)
from headgate.app.parts import Outside, Parts, build
from headgate.app.routes import AppRoute
from headgate.app.verdict import not_accepting
from headgate.app.visit import Forbidden, NothingHere, SignedOut, Visit
from headgate.workspace.errors import WorkspaceError

MODULES = (
    first,
    overview,
    messages,
    search,
    sources,
    door,
    debugger,
    destinations,
    delivery,
    failures,
    tester,
    catalog,
    connect,
    builder,
    audiences,
    profiles,
    sandbox,
    access,
    people,
    audit,
    file,
    upkeep,
    keys,
    live,
    api,
)
ROUTES: tuple[AppRoute, ...] = tuple(route for module in MODULES for route in module.ROUTES)

_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # no-referrer would take Origin from our own forms
    "cross-origin-opener-policy": "same-origin",
}
_NOT_STORED = "no-store"

log = logging.getLogger("headgate.app")


class WebApp:
    """The ASGI application of the app."""

    def __init__(self, outside: Outside) -> None:
        self._parts = parts = build(outside)
        parts.templates.globals["served"] = frozenset(route.path for route in ROUTES)
        parts.templates.globals["doors_trouble"] = _doors_trouble
        self._guard = guard = Guard(parts, ROUTES)
        self._app = Starlette(
            routes=[
                Route(f"{ASSETS_AT}/{{name}}", self._asset, methods=["GET"]),
                *guard.served,
            ],
            exception_handlers={
                HTTPException: self._http_error,
                NothingHere: self._nothing_here,
                Forbidden: self._forbidden,
                SignedOut: self._signed_out,
                TooLarge: self._too_large,
                WorkspaceError: self._store_error,
            },
        )

    @property
    def parts(self) -> Parts:
        """What the pages are made from."""
        return self._parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever happens."""
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message)
            await send(message)

        try:
            await self._app(scope, receive, send_safely)
        except Exception:
            log.exception("%s %s could not be answered", scope["method"], scope["path"])
            if started:
                raise
            answer = await self._error(
                Request(scope),
                500,
                "Headgate has a fault",
                "Its log says more, under headgate.app.",
            )
            await answer(scope, receive, send_safely)

    async def _asset(self, request: Request) -> Response:
        accepted = request.headers.get("accept-encoding", "")
        found = self._parts.assets.answer(request.path_params["name"], accepted)
        return found or Response("There is no such file.\n", 404, media_type="text/plain")

    async def _http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = {404: "There is no such page", 405: "This address takes another method"}
        title = words.get(error.status_code, error.detail)
        return await self._error(request, error.status_code, title, "", error.headers)

    async def _nothing_here(self, request: Request, error: Exception) -> Response:
        return await self._error(request, 404, "There is no such page", str(error))

    async def _forbidden(self, request: Request, error: Exception) -> Response:
        return await self._error(request, 403, "Nothing was changed", str(error))

    async def _signed_out(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, SignedOut)
        visit = await self._guard.visit(request)
        return await asyncio.to_thread(first.sign_in_again, visit, error.path, error.form)

    async def _too_large(self, request: Request, error: Exception) -> Response:
        return await self._error(request, 413, "The form is too large", "Nothing was changed.")

    async def _store_error(self, request: Request, error: Exception) -> Response:
        return await self._error(request, 503, "The workspace cannot be used now", str(error))

    async def _error(
        self,
        request: Request,
        status: int,
        title: str,
        words: str,
        headers: Any = None,
    ) -> Response:
        try:
            visit = await self._guard.visit(request)
        except WorkspaceError:
            visit = Visit(self._parts, request, None, "", [])
        response = visit.render("error.html", status, title=title, words=words)
        response.headers.update(headers or {})
        return response


def _doors_trouble(visit: Visit) -> str:
    """Why the doors take nothing in, for the bar of every page; "" when they do, or nobody can tell."""
    with suppress(WorkspaceError, OSError):
        return not_accepting(stored_in(visit))
    return ""


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = message.setdefault("headers", [])
    named = {name.lower() for name, _ in headers}
    extra = dict(_HEADERS)
    if b"cache-control" not in named:
        extra["cache-control"] = _NOT_STORED
    headers.extend((name.encode(), value.encode()) for name, value in extra.items())
