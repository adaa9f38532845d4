"""Blocks opened and decoded once for all destinations that read them. Between the log and the couriers."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import msgspec

from headgate.eventlog.block import Block
from headgate.eventlog.interface import LogReader
from headgate.spec.message import Envelope, normalize

_KEPT_BLOCKS = 8


class Decoded(msgspec.Struct, gc=False):
    """A message of the log; `message` is None when its bytes cannot be read as a message."""

    seq: int
    envelope: Envelope
    message: dict[str, Any] | None


class DecodedLog:
    """Reads the log block by block. Couriers at about the same place share the work."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._kept: OrderedDict[int, list[Decoded]] = OrderedDict()

    def after(self, seq: int) -> Iterator[list[Decoded]]:
        """The messages above `seq`, a block at a time, up to the newest one now. Raises BrokenBlock."""
        for block in self._log.blocks(seq):
            decoded = self._decoded(block)
            skip = max(0, seq + 1 - block.first_seq)
            yield decoded[skip:] if skip else decoded

    def _decoded(self, block: Block) -> list[Decoded]:
        decoded = self._kept.get(block.first_seq)
        if decoded is None:
            decoded = self._kept[block.first_seq] = [
                Decoded(
                    entry.seq, entry.envelope, _message(entry.raw, entry.envelope, entry.given_id)
                )
                for entry in block.entries()
            ]
            if len(self._kept) > _KEPT_BLOCKS:
                self._kept.popitem(last=False)
        return decoded


def _message(raw: bytes, envelope: Envelope, given_id: str) -> dict[str, Any] | None:
    try:
        return normalize(raw, envelope, given_id)
    except (msgspec.MsgspecError, RecursionError):
        return None
