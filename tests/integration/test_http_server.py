"""The HTTP server under the private port: requests are served, and stopping takes no longer than it was given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from headgate.http import HttpServer
from peers import connected, http, listen


class App:
    """Answers with the path; `/slow` waits until it is let go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.set()
        if scope["path"] == "/slow":
            await self.go.wait()
        answer = scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def served(app: App) -> AsyncIterator[tuple[HttpServer, int]]:
    listener, port = listen()
    server = HttpServer(app)
    await server.start(listener)
    try:
        yield server, port
    finally:
        await server.stop(0)


async def test_a_connection_serves_many_requests() -> None:
    """One after the other and pipelined."""
    async with served(App()) as (_, port), connected(port) as peer:
        peer.send(http("GET", "/a"))
        assert (await peer.reply()).body == b"/a"
        peer.send(http("GET", "/b"), http("POST", "/c", b"x"))
        assert [(await peer.reply()).body for _ in range(2)] == [b"/b", b"/c"]


async def test_stopping_lets_what_is_under_way_end() -> None:
    """Its answer comes, then the end; idle connections are closed, new ones refused."""
    app = App()
    async with served(app) as (server, port), connected(port) as idle, connected(port) as busy:
        idle.send(http("GET", "/a"))
        assert (await idle.reply()).body == b"/a"
        app.asked.clear()
        busy.send(http("GET", "/slow"))
        await app.asked.wait()
        stopping = asyncio.create_task(server.stop(10))
        assert await idle.rest() == b""
        app.go.set()
        assert (await busy.reply()).body == b"/slow"
        await stopping
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)


async def test_stopping_cuts_what_does_not_end() -> None:
    """A request that hangs is cancelled when the grace is over."""
    app = App()
    async with served(app) as (server, port), connected(port) as peer:
        peer.send(http("GET", "/slow"))
        await app.asked.wait()
        await server.stop(0.01)
        assert await peer.rest() == b""
