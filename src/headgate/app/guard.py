"""Who may do what: every request passes here on its way from the address to its handler.

A form counts only when the browser says that a page of ours sent it, and, once somebody is signed in, when it
carries the session's proof. Either alone would do; both together forgive a mistake in one.
"""

import asyncio
import hmac
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route

from headgate.app.lines import BUSY, OVER, Opened, said_once
from headgate.app.parts import Parts
from headgate.app.routes import AppRoute
from headgate.app.visit import (
    Call,
    Change,
    Forbidden,
    NothingHere,
    SignedOut,
    Visit,
    cookie_name,
    csrf_of,
    refusal,
)
from headgate.workspace.access import SCOPES, Account

MAX_BODY_BYTES = 1_048_576
LINES_PER_SESSION = 4  # a browser opens six connections to a host over HTTP/1.1
_AT_ONCE = 4
_TOKEN_ACTOR = "token {}"

Handler = Callable[[Request], Awaitable[Response]]


class TooLarge(Exception):
    """The body is larger than a form of ours can be."""


class Guard:
    """Makes handlers safe to serve."""

    def __init__(self, parts: Parts, routes: Iterable[AppRoute]) -> None:
        self._parts = parts
        self._threads = asyncio.Semaphore(_AT_ONCE)
        self._showing = asyncio.Semaphore(1)  # of what moves by itself, so that others have room
        self._lines: Counter[str] = Counter()
        self._placed = [
            (Route(one.path, self._handler(one), methods=[one.method]), one) for one in routes
        ]

    @property
    def served(self) -> list[Route]:
        """Every route, guarded."""
        return [place for place, _ in self._placed]

    def _handler(self, route: AppRoute) -> Handler:
        """What answers requests for this route."""
        kinds = {
            "page": self._page,
            "action": self._action,
            "call": self._call,
            "stream": self._stream,
        }
        return partial(kinds[route.kind], route)

    async def visit(self, request: Request) -> Visit:
        """Somebody who asks for anything at all."""
        session = request.cookies.get(cookie_name(request), "")
        person = await self._person(session)
        standing = self._parts.outside.standing()
        return Visit(self._parts, request, person, session if person else "", standing)

    async def shown(self, request: Request, address: str) -> str:
        """The page at an address, for who sent another request; "" when there is none that they may see."""
        path, _, query = address.partition("?")
        scope = {**request.scope, "path": unquote(path), "raw_path": path.encode()}
        scope |= {"query_string": query.encode(), "path_params": {}}
        for place, route in self._placed:
            match, found = place.matches(scope)
            if match is Match.FULL and route.kind == "page":
                return await self._text_of(route, await self.visit(Request({**scope, **found})))
        return ""

    async def _page(self, route: AppRoute, request: Request) -> Response:
        visit = await self.visit(request)
        if route.needs is not None and visit.person is None:
            return _to_sign_in(request)
        _check_role(route, visit)
        return await self._in_thread(partial(route.handle, visit))

    async def _action(self, route: AppRoute, request: Request) -> Response:
        if not is_from_here(request):
            raise Forbidden("This form was not sent by a page of Headgate.")
        visit = await self.visit(request)
        form = dict(parse_qsl((await _body(request)).decode(errors="replace"), True))
        if route.needs is not None and visit.person is None:
            raise SignedOut(request.url.path, form)
        if visit.session and not _is_same(form.get("csrf", ""), csrf_of(visit.session)):
            raise Forbidden(
                "This form is of another session. Open the page again and send it anew."
            )
        _check_role(route, visit)
        change = Change(
            visit.parts, visit.request, visit.person, visit.session, visit.standing, form
        )
        return await self._in_thread(partial(route.handle, change))

    async def _call(self, route: AppRoute, request: Request) -> Response:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        address = request.client.host if request.client else ""
        find = partial(self._parts.access.token, secret.strip(), address)
        token = await asyncio.to_thread(find) if scheme.lower() == "bearer" and secret else None
        if token is None:
            return refusal(401, "unauthorized", "The token is not valid.")
        if route.needs is not None and SCOPES[token.scope] < route.needs:
            return refusal(403, "forbidden", f"The token's scope is {token.scope}.")
        try:
            raw = await _body(request)
            body = msgspec.json.decode(raw) if raw else None
        except msgspec.DecodeError as error:
            return refusal(400, "bad_request", f"The body is not JSON: {error}.")
        call = Call(self._parts, request, _TOKEN_ACTOR.format(token.name), body)
        return await self._in_thread(partial(route.handle, call))

    async def _stream(self, route: AppRoute, request: Request) -> Response:
        visit = await self.visit(request)
        if visit.person is None:
            return said_once(OVER)
        _check_role(route, visit)
        session = visit.session
        if self._lines[session] >= LINES_PER_SESSION:
            return said_once(BUSY)
        self._lines[session] += 1
        return Opened(
            visit,
            route.handle,
            is_theirs=partial(self._is_theirs, session),
            show=partial(self.shown, request),
            closed=partial(self._closed, session),
        )

    def _closed(self, session: str) -> None:
        self._lines[session] -= 1
        self._lines += Counter()  # forgets who has none

    async def _is_theirs(self, session: str) -> bool:
        return await self._person(session) is not None

    async def _text_of(self, route: AppRoute, visit: Visit) -> str:
        if visit.person is None or not visit.may(route.needs):
            return ""
        async with self._showing:
            try:
                response = await asyncio.to_thread(route.handle, visit)
            except NothingHere:
                return ""
        return bytes(response.body).decode() if response.status_code == 200 else ""

    async def _person(self, session: str) -> Account | None:
        if not session:
            return None
        return await asyncio.to_thread(self._parts.access.signed_in, session)

    async def _in_thread(self, handle: Callable[[], Response]) -> Response:
        async with self._threads:
            return await asyncio.to_thread(handle)


def is_from_here(request: Request) -> bool:
    """Whether a page of this very origin sent the request, as far as the browser tells.

    https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site; on plain http other than localhost
    there is `Origin` alone.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("origin", "")).netloc
    return bool(origin) and origin == request.headers.get("host")


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge
    return body


def _check_role(route: AppRoute, visit: Visit) -> None:
    if not visit.may(route.needs) and visit.person is not None and route.needs is not None:
        raise Forbidden(
            f"This needs the role {route.needs.word}; yours is {visit.person.role.word}."
            " An owner can change that."
        )


def _to_sign_in(request: Request) -> Response:
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(path, safe='')}" if path != "/" else "/login", 303)


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
