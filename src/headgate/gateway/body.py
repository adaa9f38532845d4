"""A request's body, decompressed within bounds. Between the connection and the parsing."""

import zlib

from headgate.spec.limits import MAX_BODY_BYTES

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's window bits for a gzip wrapper


class BodyTooLarge(Exception):
    """More than 512 KiB, as sent or once decompressed."""


class BrokenGzip(Exception):
    """Starts like gzip and does not go on so."""


def decompressed(body: bytes | None) -> bytes:
    """The body as it was meant. gzip is recognised by its first bytes, whatever the headers say.

    None stands for a body that was too large to keep. Raises BodyTooLarge and BrokenGzip.
    """
    if body is None:
        raise BodyTooLarge
    return _gunzip(body) if body.startswith(_GZIP_MAGIC) else body


def _gunzip(body: bytes) -> bytes:
    """Stops as soon as the whole grows too large, so that a bomb costs no memory."""
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
