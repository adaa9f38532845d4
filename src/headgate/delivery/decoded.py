"""Blocks opened once for all destinations that read them, messages decoded when somebody owes them.

Between the log and the couriers.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from headgate.eventlog.block import Block, BrokenBlock
from headgate.eventlog.interface import LogReader
from headgate.spec.message import Envelope, normalize
from headgate.spec.repair import DECODE_ERRORS

_KEPT_BLOCKS = 8
_KEPT_MESSAGES = 10_000


class Decoded(msgspec.Struct, gc=False):
    """A message of the log. Without an envelope when its block is damaged or gone."""

    seq: int
    envelope: Envelope | None
    raw: bytes = b""
    given_id: str = ""
    _message: dict[str, Any] | None = None

    @property
    def message(self) -> dict[str, Any] | None:
        """The message as every later stage reads it; None when its bytes cannot be read as one."""
        if self._message is None and self.envelope is not None:
            try:
                self._message = normalize(self.raw, self.envelope, self.given_id)
            except DECODE_ERRORS:
                return None
        return self._message


class DecodedLog:
    """Reads the log block by block. Couriers at about the same place share the work."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._kept: OrderedDict[tuple[int, int], list[Decoded]] = OrderedDict()
        self._kept_messages = 0
        self._seen_to = 0
        self._newest_version = -1

    def forget(self) -> None:
        """Nothing that was read is kept: the log may have been rewritten."""
        self._kept.clear()
        self._kept_messages = 0

    def end_before(self, version: int) -> int:
        """A number up to which no message was accepted under this version of the workspace or a later one.

        The last message read by anybody, if that is known; otherwise where the log begins.
        """
        if self._newest_version < version:
            return max(self._seen_to, self._log.first_seq() - 1)
        return self._log.first_seq() - 1

    def after(self, seq: int) -> Iterator[list[Decoded]]:
        """The messages above `seq`, a block at a time, up to the newest one now. Raises BrokenBlock."""
        for block in self._log.blocks(seq):
            decoded = self._decoded(block)
            skip = max(0, seq + 1 - block.first_seq)
            yield decoded[skip:] if skip else decoded

    def these(self, seqs: Sequence[int]) -> Iterator[list[Decoded]]:
        """The messages with these numbers, which ascend; every one of them, also those that are lost."""
        at = 0
        while at < len(seqs):
            try:
                for block in self._log.blocks(seqs[at] - 1):
                    end = bisect_right(seqs, block.last_seq, at)
                    if end > at:
                        decoded = self._decoded(block)
                        wanted, at = seqs[at:end], end
                        yield [_pick(decoded, block.first_seq, seq) for seq in wanted]
                    if at == len(seqs):
                        return
                end = len(seqs)
            except BrokenBlock as broken:
                end = bisect_right(seqs, broken.last_seq, at)
            lost, at = seqs[at:end], end
            if lost:
                yield [Decoded(seq, None) for seq in lost]

    def _decoded(self, block: Block) -> list[Decoded]:
        key = block.first_seq, block.last_seq  # a sealed block begins where a shorter one began
        decoded = self._kept.get(key)
        if decoded is None:
            decoded = [
                Decoded(entry.seq, entry.envelope, entry.raw, entry.given_id)
                for entry in block.entries()
            ]
            self._keep(key, decoded)
        return decoded

    def _keep(self, key: tuple[int, int], decoded: list[Decoded]) -> None:
        self._seen_to = max(self._seen_to, decoded[-1].seq)
        versions = {one.envelope.workspace_version for one in decoded if one.envelope}
        self._newest_version = max(self._newest_version, *versions)
        self._kept[key] = decoded
        self._kept_messages += len(decoded)
        while len(self._kept) > 1 and (
            len(self._kept) > _KEPT_BLOCKS or self._kept_messages > _KEPT_MESSAGES
        ):
            self._kept_messages -= len(self._kept.popitem(last=False)[1])


def _pick(decoded: list[Decoded], first_seq: int, seq: int) -> Decoded:
    return decoded[seq - first_seq] if seq >= first_seq else Decoded(seq, None)
