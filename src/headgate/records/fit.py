"""What a search finds: messages with the outcome that they have now. Between searches and those who use them."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from headgate.eventlog.block import Entry


class Holder(Protocol):
    """What holds messages by number: a block of the log, or some dead letters."""

    def entry(self, seq: int) -> Entry:
        """The message with this number, which is held."""


class Fit(NamedTuple):
    """Messages that fit at one destination and have the same outcome there. `seqs` ascend.

    `is_past` is set when the log has let go of them, and only dead letters hold them still.
    """

    destination: int
    outcome: str
    reason: str
    seqs: list[int]
    holder: Holder
    is_past: bool = False

    def entries(self) -> Iterator[Entry]:
        """The messages."""
        return map(self.holder.entry, self.seqs)
