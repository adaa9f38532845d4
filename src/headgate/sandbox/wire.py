"""The HTTP connection, down to resets: reads a request, plays a reply as the fault plan wants it.

`SandboxProtocol` is uvicorn's own HTTP protocol, which besides puts its transport into the ASGI scope
under `extensions` (https://asgi.readthedocs.io/en/latest/extensions.html); that is all a reset or a
half-close needs. Every wait here ends when the peer goes away, so that a shutdown ends them all.
"""

import asyncio
import gzip
import socket
import struct
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headgate.sandbox.exchange import Reply

EXTENSION = "headgate.sandbox"
BLOCK_BYTES = 64 * 1024
BODILESS = frozenset({204, 304})
# SO_LINGER on, with no time: closing sends RST and drops what was not read (man 7 socket).
LINGER_NONE = struct.pack("ii", 1, 0)


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's protocol, its transport in reach of the app."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"transport": self.transport}}


class Wire:
    """One request's connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send

    async def read(self, keep_bytes: int) -> tuple[bytes, int] | None:
        """The body, at most `keep_bytes` of it, and its whole size; None when the peer went away."""
        blocks: list[bytes] = []
        size = kept = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            block = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(block)
            blocks.append(block[: keep_bytes - kept])
            kept += len(blocks[-1])
        return b"".join(blocks), size

    async def play(self, reply: Reply) -> None:
        """Send the reply the way it is meant to go."""
        how = reply.how
        if how.delay_s and not await self._stays(how.delay_s):
            return
        if how.connection == "hang":
            await self._stays(None)
        elif how.connection == "reset":
            await self._reset()
        else:
            await self._reply(reply)

    async def _reply(self, reply: Reply) -> None:
        body, headers = _encoded(reply)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": raw})
        if reply.how.connection == "reset-mid-reply":
            await self._block(body[: len(body) // 2], more=True)
            await self._reset()
            return
        step = 1 if reply.how.drip_s else BLOCK_BYTES
        last = max(0, len(body) - step)
        for start in range(0, max(1, len(body)), step):
            if reply.how.drip_s and start and not await self._stays(reply.how.drip_s):
                return
            await self._block(body[start : start + step], more=start < last)
        if reply.how.connection == "half-close":
            self._transport.write_eof()

    async def _block(self, block: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": block, "more_body": more})

    async def _stays(self, seconds: float | None) -> bool:
        """Wait; True when the time is up, False when the peer has gone before."""
        try:
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return True
        return False

    async def _reset(self) -> None:
        # Writes of this turn of the loop leave at its end; a reset drops what has not left.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        transport = self._transport
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE
        )
        transport.abort()
        await self._stays(None)

    @property
    def _transport(self) -> Any:
        return self._scope["extensions"][EXTENSION]["transport"]


def _encoded(reply: Reply) -> tuple[bytes, dict[str, str]]:
    """The body as it travels and the headers that say so."""
    how = reply.how
    if reply.status in BODILESS:
        return b"", reply.headers
    body = reply.body.ljust(how.body_bytes)
    headers = dict(reply.headers)
    if how.encoding == "gzip":
        body = gzip.compress(body)
        headers["content-encoding"] = "gzip"
    if how.encoding != "chunked":
        headers.setdefault("content-length", str(len(body)))
    if how.connection == "close":
        headers["connection"] = "close"
    return body, headers
