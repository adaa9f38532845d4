"""Reads a request's body, bounded before and after decompression. Between the route and the parsing."""

import zlib
from typing import Any

from headgate.spec.limits import MAX_BODY_BYTES

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's window bits for a gzip wrapper
_DRAIN_BYTES = 16 * 1024 * 1024
MAX_READING_BYTES = 128 * 1024 * 1024


class BodyTooLarge(Exception):
    """More than 512 KiB, as sent or once decompressed."""


class BrokenGzip(Exception):
    """Starts like gzip and does not go on so."""


class TooManyBodies(Exception):
    """More bodies are being received at once than memory is set aside for."""


class Disconnected(Exception):
    """The sender went away before its request was complete."""


class BodyReader:
    """Reads bodies; knows how many bytes all of them hold at this moment."""

    def __init__(self) -> None:
        self._reading_bytes = 0

    async def read(self, receive: Any) -> bytes:
        """The whole body, decompressed. gzip is recognised by its first bytes, whatever the headers say."""
        event = await receive()
        body: bytes = event.get("body", b"")
        if event.get("more_body"):
            body = await self._rest(receive, body)
        elif event["type"] == "http.disconnect":
            raise Disconnected
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        return gunzip(body) if body.startswith(_GZIP_MAGIC) else body

    async def _rest(self, receive: Any, first: bytes) -> bytes:
        chunks = [first]
        held = seen = len(first)
        self._reading_bytes += held
        try:
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise Disconnected
                chunk = event.get("body", b"")
                seen += len(chunk)
                if seen <= MAX_BODY_BYTES:
                    chunks.append(chunk)
                    held += len(chunk)
                    self._reading_bytes += len(chunk)
                elif seen > _DRAIN_BYTES:
                    raise BodyTooLarge
                if self._reading_bytes > MAX_READING_BYTES:
                    raise TooManyBodies
                if not event.get("more_body"):
                    break
        finally:
            self._reading_bytes -= held
        if seen > MAX_BODY_BYTES:
            raise BodyTooLarge
        return b"".join(chunks)


def gunzip(body: bytes) -> bytes:
    """The decompressed body. Stops as soon as it grows too large, so that a bomb costs no memory."""
    whole = b""
    while body:
        member = zlib.decompressobj(_GZIP)
        try:
            whole += member.decompress(body, MAX_BODY_BYTES + 1 - len(whole))
        except zlib.error as error:
            raise BrokenGzip(str(error)) from error
        if len(whole) > MAX_BODY_BYTES:
            raise BodyTooLarge
        if not member.eof:
            raise BrokenGzip("the gzip data ends early")
        body = member.unused_data.lstrip(b"\0")
    return whole
