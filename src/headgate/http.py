"""An HTTP server for one asyncio loop: uvicorn's protocol without its polling, with deadlines and a clean end.

Serves the public doors and the private port. What it adds to uvicorn: nothing wakes while nothing
happens; a sender has `request_deadline_s` for a request, then gets 408; heads are bounded; `stop`
answers every request that had been received, or lay readable on an open connection, when it was called.
"""

import asyncio
import select
import socket
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

KEEP_ALIVE_S = 75
MAX_HEAD_BYTES = 64 * 1024
_BACKLOG = 2048
_REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


def error_body(code: str, message: str) -> bytes:
    """The JSON body of every refusal, with the keys that Segment's libraries read: code, message, error."""
    text = message.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'{{"success": false, "code": "{code}", "message": "{text}", "error": "{text}"}}'.encode()
    )


class HttpServer:
    """Serves one ASGI application on listening sockets."""

    def __init__(self, app: Any, *, request_deadline_s: float = 30.0) -> None:
        self._config = Config(
            app,
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
        self._state = ServerState()
        self._request_deadline_s = request_deadline_s
        self._servers: list[asyncio.Server] = []

    async def start(self, *listeners: socket.socket) -> None:
        """Begins to accept connections."""
        loop = asyncio.get_running_loop()
        for listener in listeners:
            self._servers.append(
                await loop.create_server(self._connection, sock=listener, backlog=_BACKLOG)
            )

    async def stop(self, grace_s: float) -> None:
        """Accepts nothing new, answers what was sent, closes every connection within `grace_s` seconds."""
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        while self._state.connections and loop.time() < deadline:
            for connection in list(self._state.connections):
                connection.finish()  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=1.0)

    def _connection(self) -> "_Connection":
        return _Connection(self._config, self._state, self._request_deadline_s)


class _Connection(HttpToolsProtocol):
    """One connection: uvicorn's parsing and cycle, bounded in time and in the size of the head."""

    def __init__(self, config: Config, state: ServerState, request_deadline_s: float) -> None:
        super().__init__(config, state, {})
        self._request_deadline_s = request_deadline_s
        self._deadline: asyncio.TimerHandle | None = None
        self._receiving = False
        self._head_bytes = -1

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._receiving:
            if self._deadline is not None:
                self._clear_deadline()
            return
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._request_deadline_s, self._too_slow)
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, "head_too_large", "the request's head is larger than 64 KiB")

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_bytes = -1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._receiving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "bad_request", "this is not valid HTTP")

    def finish(self) -> None:
        """Close now if nothing is owed to the peer; otherwise after the answer that is owed."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
        elif not self._receiving and not _readable(self.transport):
            self.transport.close()

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or not cycle.response_started or cycle.response_complete:
            seconds = f"{self._request_deadline_s:g}"
            self._refuse(408, "request_timeout", f"the request took longer than {seconds} s")
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        if self.transport.is_closing():
            return
        body = error_body(code, message)
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
            f"access-control-allow-origin: *\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _readable(transport: asyncio.Transport) -> bool:
    peer = transport.get_extra_info("socket")
    if peer is None or peer.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(peer.fileno(), select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
