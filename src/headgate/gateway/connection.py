"""HTTP for the public doors: one connection's requests in, answers out, in order, within bounds.

The hot path of everything, so it has no task, no queue and no second write per request: the parser's
callbacks fill a `Request`, the doors are called with it, and `Exchange.answer` writes the answer at
once, or when the log's commit is through. Bounds: a head of 64 KiB, a body of 512 KiB (the rest is
read and thrown away, so that the sender hears why), 30 s for a request, 128 MiB of bodies in the making.
"""

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from headgate.gateway.answers import (
    BAD_REQUEST,
    BUSY,
    HEAD_TOO_LARGE,
    Answer,
    as_http,
    timed_out,
)
from headgate.spec.limits import MAX_BODY_BYTES

KEEP_ALIVE_S = 75.0
MAX_HEAD_BYTES = 64 * 1024
MAX_RECEIVING_BYTES = 128 * 1024 * 1024
_ACCEPT_LAST_S = 0.25
_TURNS_TO_OPEN = 8  # of the loop, from accepting a connection to knowing of it
_MAX_WAITING_REQUESTS = 32
_BACKLOG = 2048
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_KEPT = {  # headers that the doors read, by the attribute of `Request` that holds them
    b"accept-encoding": "accept_encoding",
    b"access-control-request-headers": "requested_headers",
    b"authorization": "authorization",
    b"host": "host",
    b"if-none-match": "if_none_match",
    b"origin": "origin",
    b"x-forwarded-host": "forwarded_host",
    b"x-forwarded-prefix": "forwarded_prefix",
    b"x-forwarded-proto": "forwarded_proto",
}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Request:
    """One request as the doors need it. `body` is None when it was too large to keep."""

    __slots__ = ("body", "ip", "method", "path", "query", *_KEPT.values())

    def __init__(self, ip: str) -> None:
        self.ip = ip
        self.method = ""
        self.path = ""
        self.query = b""
        self.body: bytes | None = b""
        self.accept_encoding: bytes | None = None
        self.authorization: bytes | None = None
        self.forwarded_host: bytes | None = None
        self.forwarded_prefix: bytes | None = None
        self.forwarded_proto: bytes | None = None
        self.host: bytes | None = None
        self.if_none_match: bytes | None = None
        self.origin: bytes | None = None
        self.requested_headers: bytes | None = None


class Exchange:
    """A request and the place for its answer."""

    __slots__ = ("_connection", "keep_alive", "request")

    def __init__(self, connection: "Connection", request: Request) -> None:
        self._connection = connection
        self.request = request
        self.keep_alive = True

    def answer(self, answer: Answer) -> None:
        """Writes the answer; nothing happens when the peer has gone. Call it once."""
        self._connection.answered(self, answer)


Doors = Callable[[Exchange], None]


class DoorServer:
    """Serves the doors on listening sockets."""

    def __init__(self, doors: Doors, *, request_deadline_s: float) -> None:
        self.doors = doors
        self.request_deadline_s = request_deadline_s
        self.connections: set[Connection] = set()
        self.receiving_bytes = 0
        self._servers: list[asyncio.Server] = []
        self._listeners: list[socket.socket] = []

    async def start(self, *listeners: socket.socket) -> None:
        """Begins to accept connections."""
        loop = asyncio.get_running_loop()
        self._listeners += listeners
        for listener in listeners:
            self._servers.append(
                await loop.create_server(
                    lambda: Connection(self, loop), sock=listener, backlog=_BACKLOG
                )
            )

    async def stop(self, grace_s: float) -> None:
        """Accepts nothing new, answers what was sent, closes every connection within `grace_s` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        await self._accept_last(min(deadline, loop.time() + _ACCEPT_LAST_S))
        for server in self._servers:
            server.close()
        while self.connections and loop.time() < deadline:
            for connection in list(self.connections):
                connection.finish()
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()

    async def _accept_last(self, until_s: float) -> None:
        """Takes the connections that wait in the kernel: closing the listener would reset them."""
        loop = asyncio.get_running_loop()
        quiet_turns = 0
        while quiet_turns < _TURNS_TO_OPEN and loop.time() < until_s:
            quiet_turns = 0 if any(map(_readable, self._listeners)) else quiet_turns + 1
            await asyncio.sleep(0)


class Connection(asyncio.Protocol):
    """One connection of a sender."""

    def __init__(self, server: DoorServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._ip = ""
        self._request = Request("")
        self._url = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._framing: list[tuple[bytes, bytes]] = []
        self._in_head = self._receiving = self._expects_continue = self._resuming = False
        self._answers_pile_up = self._handing_over = self._holding = False
        self._deadline: asyncio.TimerHandle | None = None
        self._idle_since = loop.time()
        self._idle = loop.call_later(KEEP_ALIVE_S, self._close_when_idle)
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._last = False

    # the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._ip = peer[0] if isinstance(peer, tuple) else ""
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._forget_body()
        self._clear_deadline()
        self._idle.cancel()
        self._forget_waiting()

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        # A head that begins behind other requests in the same data counts from the next data on.
        self._head_bytes += len(data)
        self._parse(data)
        if not self._receiving:
            return
        if self._deadline is None:
            self._deadline = self._loop.call_later(self._server.request_deadline_s, self._too_slow)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE)

    def pause_writing(self) -> None:
        self._answers_pile_up = True
        self._steer_reading()

    def resume_writing(self) -> None:
        self._answers_pile_up = False
        self._steer_reading()

    def finish(self) -> None:
        """Closes now if nothing is owed to the peer; otherwise after the answer that is owed."""
        if self._waiting or _readable(self._transport.get_extra_info("socket")):
            return
        if self._current is not None:
            self._current.keep_alive = False
        elif not self._receiving:
            self._transport.close()

    def abort(self) -> None:
        """Closes whatever is owed."""
        self._transport.abort()

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(BAD_REQUEST)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Goes on as if no upgrade had been offered: the parser stops at one, before the body.

        `curl --http2` offers one with every request. A new parser reads the body, from a head that
        holds nothing but what frames it.
        """
        self._parser = httptools.HttpRequestParser(self)
        self._resuming = True
        framing = b"".join(b"%b: %b\r\n" % header for header in self._framing)
        self._parse(b"POST / HTTP/1.1\r\n%b\r\n%b" % (framing, rest))

    # the parser's side

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        self._request = Request(self._ip)
        self._url = b""
        self._head_bytes = 0
        self._receiving = self._in_head = True
        self._expects_continue = False
        self._framing.clear()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._resuming:
            return
        name = name.lower()
        kept = _KEPT.get(name)
        if kept is not None:
            setattr(self._request, kept, value)
        elif name in _FRAMING:
            self._framing.append((name, value))
        elif name == b"expect":
            self._expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        if self._resuming:
            self._resuming = False
            return
        self._in_head = False
        self._request.method = self._parser.get_method().decode("ascii", "replace")
        if not self._url.startswith(b"/"):
            self._url = _without_host(self._url)
        path, _, self._request.query = self._url.partition(b"?")
        self._request.path = path.decode("latin-1")
        if self._expects_continue:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self._last:
            return
        self._body_bytes += len(body)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body.append(body)
            self._server.receiving_bytes += len(body)
            if self._server.receiving_bytes > MAX_RECEIVING_BYTES:
                self._refuse(BUSY)

    def on_message_complete(self) -> None:
        if not self._last and not self._parser.should_upgrade():
            self._complete(keep_alive=self._parser.should_keep_alive())

    def _complete(self, *, keep_alive: bool) -> None:
        """The request is whole, or as whole as it gets: hand it to the doors when its turn comes."""
        request = self._request
        too_large = self._body_bytes > MAX_BODY_BYTES
        request.body = None if too_large else b"".join(self._body)
        self._forget_body()
        self._clear_deadline()
        self._receiving = False
        exchange = Exchange(self, request)
        exchange.keep_alive = keep_alive and self._parser.get_http_version() != "1.0"
        self._waiting.append(exchange)
        self._server.receiving_bytes += len(request.body or b"")
        self._hand_over()

    def _hand_over(self) -> None:
        """Calls the doors with what waits, one after the other, as long as answers come at once."""
        if self._handing_over:
            return
        self._handing_over = True
        while self._waiting and self._current is None:
            self._current = self._next_waiting()
            self._server.doors(self._current)
        self._handing_over = False
        self._steer_reading()

    def _next_waiting(self) -> Exchange:
        exchange = self._waiting.popleft()
        self._server.receiving_bytes -= len(exchange.request.body or b"")
        return exchange

    def _forget_waiting(self) -> None:
        while self._waiting:
            self._next_waiting()

    def _steer_reading(self) -> None:
        """Reads nothing while the peer has much to hear, or many of its requests wait for their turn."""
        hold = self._answers_pile_up or len(self._waiting) >= _MAX_WAITING_REQUESTS
        if hold == self._holding or self._transport.is_closing():
            return
        self._holding = hold
        if hold:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # answers

    def answered(self, exchange: Exchange, answer: Answer) -> None:
        """The doors have an answer for the exchange whose turn it is."""
        if self._transport.is_closing():
            return
        self._write(answer, exchange.request, keep_alive=exchange.keep_alive)
        self._current = None
        self._idle_since = self._loop.time()
        if not exchange.keep_alive:
            self._close_after_answer()
        elif self._waiting:
            self._hand_over()

    def _write(self, answer: Answer, request: Request, *, keep_alive: bool) -> None:
        has_body = request.method != "HEAD"
        self._transport.write(
            as_http(answer, request.origin, keep_alive=keep_alive, has_body=has_body)
        )

    def _refuse(self, answer: Answer) -> None:
        """Answers what is not a request, after the answers that are owed, and hears no more."""
        if self._last or self._transport.is_closing():
            return
        self._last = True
        self._receiving = False
        self._forget_body()
        self._clear_deadline()
        if self._current is None:
            self._write(answer, self._request, keep_alive=False)
            self._transport.close()
            return
        (self._waiting[-1] if self._waiting else self._current).keep_alive = False

    def _too_slow(self) -> None:
        self._deadline = None
        self._refuse(timed_out(self._server.request_deadline_s))

    def _close_after_answer(self) -> None:
        self._last = True
        self._forget_waiting()
        self._transport.close()

    def _forget_body(self) -> None:
        if self._body_bytes:
            self._server.receiving_bytes -= sum(map(len, self._body))
            self._body.clear()
            self._body_bytes = 0

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_when_idle(self) -> None:
        """One timer per connection, not per request: it looks when the connection was last busy."""
        left_s = self._idle_since + KEEP_ALIVE_S - self._loop.time()
        if left_s <= 0 and self._current is None and not self._receiving:
            self._transport.close()
        else:
            self._idle = self._loop.call_later(max(left_s, 1.0), self._close_when_idle)


def _without_host(url: bytes) -> bytes:
    """The path and query of a request in absolute form, as senders behind a proxy write it."""
    _, _, rest = url.partition(b"://")
    return b"/" + rest.partition(b"/")[2]


def _readable(end: socket.socket | None) -> bool:
    """Whether something lies in the kernel for this socket: data, or a connection to accept."""
    if end is None or end.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(end.fileno(), select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
