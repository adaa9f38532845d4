"""An HTTP server for one asyncio loop: uvicorn's protocol under a listener of our own.

Serves the private port and the sandbox; the public doors have `gateway/connection.py`. uvicorn's own
server wakes ten times a second and re-raises signals when it stops; this one does neither.
"""

import asyncio
import socket
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

KEEP_ALIVE_S = 75
_CANCEL_WITHIN_S = 0.3


class HttpServer:
    """Serves one ASGI application on listening sockets."""

    def __init__(self, app: Any, protocol: type[HttpToolsProtocol] = HttpToolsProtocol) -> None:
        self._config = Config(
            app,
            http=protocol,
            interface="asgi3",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._config.load()
        self._protocol = protocol
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []

    async def start(self, *listeners: socket.socket) -> None:
        """Begins to accept connections."""
        loop = asyncio.get_running_loop()
        self._servers += [
            await loop.create_server(
                lambda: self._protocol(self._config, self._state, {}), sock=listener
            )
            for listener in listeners
        ]

    async def stop(self, grace_s: float) -> None:
        """No new connections → answers under way get `grace_s` → the rest is cut → tasks end → closed."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=grace_s)
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        if self._state.tasks:
            _, late = await asyncio.wait(list(self._state.tasks), timeout=_CANCEL_WITHIN_S)
            for task in late:
                task.cancel()
        for server in self._servers:
            await server.wait_closed()
