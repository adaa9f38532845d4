"""An HTTP server for one asyncio loop: uvicorn's protocol without its polling, with deadlines and a clean end.

Serves the public doors and the private port. What it adds to uvicorn: nothing wakes while nothing
happens; a sender has `request_deadline_s` for a request, then gets 408; heads are bounded; `stop`
answers every request that had been received, or lay readable on an open connection, when it was called.
"""

import asyncio
import json
import select
import socket
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

KEEP_ALIVE_S = 75
MAX_HEAD_BYTES = 64 * 1024
_BACKLOG = 2048
_ACCEPT_LAST_S = 0.25
_REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


def error_body(code: str, message: str) -> bytes:
    """The JSON body of every refusal, with the keys that Segment's libraries read: code, message, error."""
    return json.dumps(
        {"success": False, "code": code, "message": message, "error": message}
    ).encode()


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
        self._listeners: list[socket.socket] = []

    async def start(self, *listeners: socket.socket) -> None:
        """Begins to accept connections."""
        loop = asyncio.get_running_loop()
        for listener in listeners:
            self._listeners.append(listener)
            self._servers.append(
                await loop.create_server(self._connection, sock=listener, backlog=_BACKLOG)
            )

    async def stop(self, grace_s: float) -> None:
        """Accepts nothing new, answers what was sent, closes every connection within `grace_s` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        await self._accept_last(min(deadline, loop.time() + _ACCEPT_LAST_S))
        for server in self._servers:
            server.close()
        while self._state.connections and loop.time() < deadline:
            for connection in list(self._state.connections):
                connection.finish()  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=1.0)

    async def _accept_last(self, until_s: float) -> None:
        """Takes the connections that wait in the kernel: closing the listener would reset them."""
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            if not any(map(_readable, self._listeners)):
                return
            await asyncio.sleep(0)

    def _connection(self) -> "_Connection":
        return _Connection(self._config, self._state, self._request_deadline_s)


class _Connection(HttpToolsProtocol):
    """One connection: uvicorn's parsing and cycle, bounded in time and in the size of the head."""

    def __init__(self, config: Config, state: ServerState, request_deadline_s: float) -> None:
        super().__init__(config, state, {})
        self._request_deadline_s = request_deadline_s
        self._deadline: asyncio.TimerHandle | None = None
        self._receiving = False
        self._in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm_keep_alive()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        # A head that begins behind other requests in the same data counts from the next data on.
        self._head_bytes += len(data)
        self._feed(data)
        if self.transport.is_closing():
            return
        if not self._receiving:
            if self._owed() is None and self.timeout_keep_alive_task is None:
                self._arm_keep_alive()
            return
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._request_deadline_s, self._too_slow)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "head_too_large", "the request's head is larger than 64 KiB")

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving = self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # comes again, without the upgrade; see _feed
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._receiving = False
        self._clear_deadline()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "bad_request", msg)

    def finish(self) -> None:
        """Close now if nothing is owed to the peer; otherwise after the answer that is owed."""
        if _readable(self.transport.get_extra_info("socket")):
            return
        owed = self._owed()
        if owed is not None:
            owed.keep_alive = False
        elif not self._receiving:
            self.transport.close()

    def _feed(self, data: bytes) -> None:
        """Parses; an offer to upgrade (curl makes one of HTTP/2) is ignored, as HTTP allows.

        The parser takes whatever follows such a head for the other protocol and would lose the body,
        so the head is parsed again without the offer.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.parser.get_method() == b"CONNECT":
                self.send_400_response("this is no proxy")
                return
            data = self._head_without_upgrade() + data[upgrade.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("this is not valid HTTP")

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _owed(self) -> "RequestResponseCycle | None":
        """The newest request, when its answer is not complete."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _arm_keep_alive(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        seconds = f"{self._request_deadline_s:g}"
        self._refuse(408, "request_timeout", f"the request took longer than {seconds} s")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answers the request being received, and closes. Answers owed to earlier requests come first."""
        if self.transport.is_closing():
            return
        owed = self._owed()
        if self._in_head and owed is not None:
            self._receiving = self._in_head = False
            owed.keep_alive = False
            return
        answered = not self._in_head and (owed is None or owed.response_started)
        if self._receiving and not answered and not self.pipeline:
            self._write_refusal(status, code, message)
        self.transport.close()

    def _write_refusal(self, status: int, code: str, message: str) -> None:
        body = error_body(code, message)
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
            f"access-control-allow-origin: *\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)


def _readable(peer: socket.socket | None) -> bool:
    """Whether something lies in the socket that nobody has read yet."""
    if peer is None or peer.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(peer.fileno(), select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
