"""A front door with faults: what stands before a gateway in real life, and sometimes fails by itself.

Whole requests are read, then passed through as they came or met with a fault. Between a client and the
gateway, in the test's own event loop.
"""

import asyncio
import re
import socket
import struct
from collections.abc import Iterable
from enum import Enum

_LIMIT_BYTES = 2 * 1024 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What happens to a request instead of being passed through and answered."""

    TOO_MANY_REQUESTS = "429"
    UNAVAILABLE = "503"
    RESET = "reset before the gateway has seen it"
    LOST_ANSWER = "reset after the gateway has accepted it"

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


_ANSWERS = {
    Fault.TOO_MANY_REQUESTS: b"429 Too Many Requests\r\nRetry-After: 1",
    Fault.UNAVAILABLE: b"503 Service Unavailable",
}
_ERROR = b'{"success": false, "code": "busy", "message": "try again", "error": "try again"}'


class FrontDoor:
    """Listens on a free port. The first requests meet `faults`, one each; all others pass."""

    def __init__(self, gateway_port: int, faults: Iterable[Fault] = ()) -> None:
        self._gateway_port = gateway_port
        self._faults = list(faults)
        self._conversations: set[asyncio.Task[None]] = set()
        self.played: list[Fault] = []
        self.passed = 0

    async def __aenter__(self) -> "FrontDoor":
        self._server = await asyncio.start_server(
            self._converse, "127.0.0.1", 0, limit=_LIMIT_BYTES
        )
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await self._server.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)
        above, below = await asyncio.open_connection(
            "127.0.0.1", self._gateway_port, limit=_LIMIT_BYTES
        )
        try:
            while await self._one(reader, writer, above, below):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            below.close()
            writer.close()

    async def _one(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        above: asyncio.StreamReader,
        below: asyncio.StreamWriter,
    ) -> bool:
        """One request; whether there may be another on this connection."""
        request = await _whole_message(reader)
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            self.played.append(fault)
        if fault in _ANSWERS:
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (_ANSWERS[fault], len(_ERROR), _ERROR)
            )
            return True
        if fault is not Fault.RESET:
            below.write(request)
            answer = await _whole_message(above)
        if fault is not None:
            _reset(writer)
            return False
        self.passed += 1
        writer.write(answer)
        return True


async def _whole_message(reader: asyncio.StreamReader) -> bytes:
    """A request or an answer, byte for byte."""
    head = await reader.readuntil(b"\r\n\r\n")
    if length := _LENGTH.search(head):
        return head + await reader.readexactly(int(length[1]))
    if not _CHUNKED.search(head):
        return head
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        body += size + await reader.readexactly(int(size, 16) + 2)
        if int(size, 16) == 0:
            return head + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with a RST, not with a polite end of file."""
    peer = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
