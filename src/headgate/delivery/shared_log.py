"""Blocks opened once for all destinations that read them. Between the log and the couriers.

Messages are decoded where they are needed and forgotten at once: decoded ones that are kept for the next
courier take so much memory that going back to them takes longer than decoding them anew.
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


class Logged(msgspec.Struct, gc=False):
    """A message of the log. Without an envelope when its block is damaged or gone."""

    seq: int
    envelope: Envelope | None
    raw: bytes = b""
    given_id: str = ""

    @property
    def stands_behind(self) -> bool:
        """Whether nobody waits for it."""
        return self.envelope is not None and self.envelope.behind

    def decoded(self) -> dict[str, Any] | None:
        """The message as every later stage reads it; None when its bytes cannot be read as one."""
        if self.envelope is None:
            return None
        try:
            return normalize(self.raw, self.envelope, self.given_id)
        except DECODE_ERRORS:
            return None


class SharedLog:
    """Reads the log block by block. Couriers at about the same place share the work."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._kept: OrderedDict[tuple[int, int], list[Logged]] = OrderedDict()
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

    def after(self, seq: int) -> Iterator[list[Logged]]:
        """The messages above `seq`, a block at a time, up to the newest one now. Raises BrokenBlock."""
        for block in self._log.blocks(seq):
            messages = self._opened(block)
            skip = max(0, seq + 1 - block.first_seq)
            yield messages[skip:] if skip else messages

    def these(self, seqs: Sequence[int]) -> Iterator[list[Logged]]:
        """The messages with these numbers, which ascend; every one of them, also those that are lost."""
        at = 0
        while at < len(seqs):
            try:
                for block in self._log.blocks(seqs[at] - 1):
                    end = bisect_right(seqs, block.last_seq, at)
                    if end > at:
                        messages = self._opened(block)
                        wanted, at = seqs[at:end], end
                        yield [_pick(messages, block.first_seq, seq) for seq in wanted]
                    if at == len(seqs):
                        return
                end = len(seqs)
            except BrokenBlock as broken:
                end = bisect_right(seqs, broken.last_seq, at)
            lost, at = seqs[at:end], end
            if lost:
                yield [Logged(seq, None) for seq in lost]

    def _opened(self, block: Block) -> list[Logged]:
        key = block.first_seq, block.last_seq  # a sealed block begins where a shorter one began
        messages = self._kept.get(key)
        if messages is None:
            messages = [
                Logged(entry.seq, entry.envelope, entry.raw, entry.given_id)
                for entry in block.entries()
            ]
            self._keep(key, messages)
        return messages

    def _keep(self, key: tuple[int, int], messages: list[Logged]) -> None:
        self._seen_to = max(self._seen_to, messages[-1].seq)
        versions = {one.envelope.workspace_version for one in messages if one.envelope}
        self._newest_version = max(self._newest_version, *versions)
        self._kept[key] = messages
        self._kept_messages += len(messages)
        while len(self._kept) > 1 and (
            len(self._kept) > _KEPT_BLOCKS or self._kept_messages > _KEPT_MESSAGES
        ):
            self._kept_messages -= len(self._kept.popitem(last=False)[1])


def _pick(messages: list[Logged], first_seq: int, seq: int) -> Logged:
    return messages[seq - first_seq] if seq >= first_seq else Logged(seq, None)
