"""Runs the sandbox on a port: `run` for the command, `serving` inside another program or a test,
`serving_app` when there is something beside it.

A port of 0 is known before the first request, nothing wakes while nobody asks, and stopping takes a
fraction of a second whatever is open.
"""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from starlette.types import ASGIApp

from headgate.clock import SystemClock
from headgate.http import HttpServer
from headgate.sandbox.announce import Announcer
from headgate.sandbox.app import create_app
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.options import Options
from headgate.sandbox.wire import SandboxProtocol

GRACE_S = 0.3
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(
    host: str = "127.0.0.1",
    port: int = 9091,
    *,
    options: Options | None = None,
    announce: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM, then return. Prints the URL first; port 0 takes a free one.

    Raises OSError when the port is taken.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(host, port, options or Options(), announce=announce))


@asynccontextmanager
async def serving(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int) -> AsyncIterator[str]:
    """Serve `sandbox` in the running loop, yielding its URL; port 0 takes a free one.

    It may be served again afterwards, also on the same port: an outage with the state kept.
    Raises OSError when the port is taken.
    """
    async with serving_app(create_app(sandbox), host=host, port=port) as url:
        yield url


@asynccontextmanager
async def serving_app(app: ASGIApp, *, host: str = "127.0.0.1", port: int) -> AsyncIterator[str]:
    """The same for an app that has the sandbox's in it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    server = HttpServer(app, SandboxProtocol)
    await server.start(listener)
    try:
        yield _url(host, listener.getsockname()[1])
    finally:
        await server.stop(GRACE_S)


async def _run(host: str, port: int, options: Options, *, announce: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    sandbox = Sandbox(options, SystemClock(), on_verdict=Announcer() if announce else None)
    async with serving(sandbox, host=host, port=port) as url:
        print(f"Heap sandbox: {url}", flush=True)
        await stop.wait()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
