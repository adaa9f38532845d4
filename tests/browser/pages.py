"""A website for tests: pages on a port of their own, opened in a real browser that reaches nothing else.

The browser is Debian's Chromium, driven by Playwright. No name but this machine's resolves in it, and
every address that a page asks for is written down.
"""

import asyncio
import http.client
import json
import os
import shutil
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request, Route, async_playwright

from headgate.gateway.answers import Answer, as_http, preflight

# CI installs it; elsewhere a machine may do without.
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="chromium is missing"
)

SETTLES_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.05
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


async def until(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Waits for what a page or the gateway does; the browser is heard meanwhile."""
    try:
        async with asyncio.timeout(SETTLES_WITHIN_S):
            while not condition():  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        raise AssertionError(f"not within {SETTLES_WITHIN_S:g} s: {otherwise()}") from None


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser that reaches this machine only."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


class Heard(NamedTuple):
    """A tracking call that a site took in the gateway's place."""

    at_s: float
    retry_count: str | None
    body: dict[str, Any]


class Site:
    """Pages by path, served as they are, on `http://127.0.0.1:PORT`, or https with a certificate of its own.

    It can also stand in for a gateway: calls posted to it are answered with what is in `says`, their
    preflights while `answers_preflights` is set. Or stand before one: what is under `/events` is asked of
    the gateway at `passes_to`, as a proxy does it.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.pages: dict[str, tuple[str, str]] = {}
        self.headers: dict[str, str] = {}
        self.says: list[Answer] = []
        self.passes_to = ""
        self.heard: list[Heard] = []
        self.answers_preflights = threading.Event()
        self.answers_preflights.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.scheme = "https" if certificate else "http"
        self.url = f"{self.scheme}://{self.host}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def add(self, path: str, text: str, kind: str = "text/html") -> str:
        """Puts a page there; its address."""
        self.pages[path] = (kind, text)
        return self.url + path

    @contextmanager
    def serving(self) -> Iterator["Site"]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


_PASSED_ON = ("accept-encoding", "authorization", "content-type", "origin")


class _Handler(BaseHTTPRequestHandler):
    """One connection to a site."""

    def __init__(self, site: Site, *connection: Any) -> None:
        self.site = site
        super().__init__(*connection)

    def do_GET(self) -> None:
        if self._passes():
            return
        kind, text = self.site.pages.get(self.path.partition("?")[0], ("text/plain", ""))
        body = text.encode()
        self.send_response(200 if body else 404)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        for name, value in self.site.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_OPTIONS(self) -> None:
        self.site.answers_preflights.wait(SETTLES_WITHIN_S)
        asked = self.headers["access-control-request-headers"]
        self._say(preflight(asked.encode() if asked else None))

    def do_POST(self) -> None:
        if self._passes():
            return
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.site.heard.append(Heard(time.monotonic(), self.headers["x-retry-count"], body))
        self._say(self.site.says.pop(0))

    def _passes(self) -> bool:
        """Passes a request on to the gateway behind; False when it is none of that."""
        if not self.path.startswith("/events/"):
            return False
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        line = http.client.HTTPConnection(self.site.passes_to, timeout=10.0)
        kept = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        said_by_proxy = {
            "X-Forwarded-Host": self.headers["host"],
            "X-Forwarded-Proto": self.site.scheme,
            "X-Forwarded-Prefix": "/events",
        }
        path = self.path.removeprefix("/events")
        line.request(self.command, path, body or None, kept | said_by_proxy)
        answer = line.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        line.close()
        return True

    def _say(self, answer: Answer) -> None:
        origin = self.headers["origin"].encode()
        self.wfile.write(as_http(answer, origin, keep_alive=False, has_body=True))
        self.close_connection = True

    def log_message(self, *said: Any) -> None:
        """Says nothing."""


class Visitor:
    """A browser profile of its own, and what its pages asked for."""

    def __init__(self, browser: Browser, context: BrowserContext) -> None:
        self.browser = browser
        self.context = context
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        context.on("request", lambda request: self.requests.append(request))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    async def until_asked(self, url: str) -> None:
        """Waits until a page asks for this address."""
        await until(
            lambda: any(request.url == url for request in self.requests),
            lambda: f"{url}; {[request.url for request in self.requests]}",
        )

    async def until_asked_of(self, hosts: set[str]) -> None:
        """Waits until pages have asked all of these for something, and nobody else."""
        await until(lambda: self.hosts >= hosts, lambda: f"{hosts}; {self.hosts}")
        assert self.hosts == hosts

    @property
    def hosts(self) -> set[str]:
        """Every host and port that was asked for anything."""
        addresses = (urlsplit(request.url) for request in self.requests)
        return {address.netloc for address in addresses if address.scheme in ("http", "https")}

    async def sent(self, gateway_url: str, count: int, path: str = "") -> list["Sent"]:
        """The tracking calls in the order in which the pages made them, once there are so many.

        Those to one path only, when it is given.
        """

        def found() -> list[Sent]:
            every = (
                Sent(urlsplit(one.url).path, json.loads(one.post_data or "{}"))
                for one in self.requests
                if one.method == "POST" and one.url.startswith(gateway_url)
            )
            return [one for one in every if path in ("", one.path)]

        await until(lambda: len(found()) >= count, lambda: f"{count} calls; {self.requests}")
        return found()

    async def open(self, url: str) -> Page:
        """A page that has loaded."""
        page = await self.context.new_page()
        await page.goto(url)
        return page

    async def answer(self, pattern: str, body: bytes) -> None:
        """Answers an address outside with a script, as if it were reached."""

        async def fulfil(route: Route) -> None:
            await route.fulfill(body=body, content_type="text/javascript")

        await self.context.route(pattern, fulfil)

    async def hold(self, pattern: str) -> Callable[[bytes], Awaitable[None]]:
        """Leaves an address outside without an answer until the returned function is given one."""
        held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()

        async def keep(route: Route) -> None:
            held.set_result(route)

        async def release(body: bytes) -> None:
            route = await asyncio.wait_for(held, SETTLES_WITHIN_S)
            await route.fulfill(body=body, content_type="text/javascript")

        await self.context.route(pattern, keep)
        return release


class Sent(NamedTuple):
    """A tracking call as it left the page."""

    path: str
    body: dict[str, Any]


@asynccontextmanager
async def visitor(browser: Browser) -> AsyncIterator[Visitor]:
    """A new visitor of the site, who trusts whatever certificate it has."""
    context = await browser.new_context(ignore_https_errors=True)
    try:
        yield Visitor(browser, context)
    finally:
        await context.close()
