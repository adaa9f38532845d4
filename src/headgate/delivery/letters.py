"""A message as a dead letter keeps it: its bytes as they came, with the envelope, compressed.

Written by the ledger when a message is given up on; read when it is shown, exported or sent again after
the log has let go of it.
"""

import msgspec
import zstandard

from headgate.spec.message import Envelope

_MAX_BYTES = 64 * 1024 * 1024


class Letter(msgspec.Struct, array_like=True, frozen=True):
    """What a message is made of, everywhere after the log."""

    envelope: Envelope
    raw: bytes
    given_id: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Letter).decode


def sealed(letter: Letter) -> bytes:
    """The letter as it is stored."""
    return zstandard.ZstdCompressor(level=1).compress(_encode(letter))


def unsealed(stored: bytes) -> Letter | None:
    """The letter; None when an older Headgate kept none."""
    if not stored:
        return None
    return _decode(zstandard.ZstdDecompressor().decompress(stored, max_output_size=_MAX_BYTES))
