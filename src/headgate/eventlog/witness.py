"""The witness: the number and crc of the log's last block, in a small file beside the segments.

Rewritten by the log's writer after every commit. SQLite silently drops a WAL tail whose checksum is
wrong; a log that ends before its witness, or with another block, has lost something.
"""

import os
import struct
from contextlib import suppress
from pathlib import Path

_WITNESS = struct.Struct("<QI")
_NAME = "witness"


def read_witness(directory: Path) -> tuple[int, int] | None:
    """(number, crc) of the last block that was made durable here; None before the first."""
    try:
        witness = (directory / _NAME).read_bytes()
    except FileNotFoundError:
        return None
    return _WITNESS.unpack(witness[: _WITNESS.size]) if len(witness) >= _WITNESS.size else None


class Witness:
    """The file, held open for its one writer."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT, 0o600)

    def write(self, seq: int, crc: int) -> None:
        """Names the block that was just made durable."""
        with suppress(
            OSError
        ):  # it costs no message; only a later loss of the block would go untold
            os.pwrite(self._descriptor, _WITNESS.pack(seq, crc), 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
