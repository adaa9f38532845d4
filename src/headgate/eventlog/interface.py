"""The event log as its neighbours see it: the gateway appends, everybody else reads blocks.

`EventLog` is the seam behind which another engine may stand. SQLite is the one to run; the memory twin
passes the same contract tests and serves unit tests and simulations.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import msgspec

from headgate.eventlog.block import Block, Entry
from headgate.spec.message import Envelope

DUPLICATE = -1


class Arrival(msgspec.Struct, gc=False):
    """One request's accepted messages, as the door hands them over; the lists run in step.

    `ids` are the messageIds (given ones included, whose positions are in `given`), `users` the userIds
    or "", `types` the codes of the call types (`spec.names`).
    """

    envelope: Envelope
    raws: list[bytes]
    ids: list[str]
    users: list[str]
    types: bytearray
    given: list[int] = msgspec.field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """What the messages, and what their request says for all of them, weigh while they wait."""
        shared = len(self.envelope.context) + len(self.envelope.integrations)
        return shared + sum(map(len, self.raws))

    def note_repairs(self, repairs: tuple[str, ...]) -> None:
        """Remember what had to be mended in the request's messages, for their traces."""
        new = tuple(repair for repair in repairs if repair not in self.envelope.repairs)
        if new:
            self.envelope = msgspec.structs.replace(
                self.envelope, repairs=self.envelope.repairs + new
            )


class LogFull(Exception):
    """The messages could not be made durable; nothing of the group was kept. Try again later."""


class LogReader(Protocol):
    """What delivery, trace and audit read from."""

    def last_seq(self) -> int:
        """The number of the newest message; 0 when the log is empty."""

    def first_seq(self) -> int:
        """The number of the oldest message still held; `last_seq() + 1` when there is none."""

    def blocks(self, after_seq: int) -> Iterator[Block]:
        """The blocks that hold messages numbered above `after_seq`, in order, up to the newest one now.

        Raises BrokenBlock, with its range, where they are not what was written; the iteration ends there.
        """

    def entry(self, seq: int) -> Entry:
        """The message with this number; KeyError when the log does not hold it (any more)."""

    def find(self, source: str, message_id: str) -> list[int]:
        """The numbers under which a source's messageId is held; empty when it is unknown.

        What is damaged is passed over.
        """

    def find_any(self, hashes: Collection[int]) -> list[int]:
        """The numbers of the messages whose id hash (`block.id_hash`) is among these, ascending.

        Those of damaged messages included: their ids may be known all the same.
        """

    def close(self) -> None:
        """Let go of every file."""


class SegmentedReader(LogReader, Protocol):
    """The log as it lies on disk."""

    def segments(self) -> list[int]:
        """The number with which each segment begins, ascending; retention removes whole ones."""


class EventLog(SegmentedReader, Protocol):
    """The one writer of the log."""

    def append(self, arrivals: Sequence[Arrival]) -> list[Sequence[int]]:
        """Makes the group durable; answers, for every message of every arrival, its number or DUPLICATE.

        A message is a duplicate when its source has sent the same messageId within at least 24 h.
        Raises LogFull when the group could not be made durable; then nothing of it was kept.
        """

    def trouble(self) -> str:
        """Why messages cannot be accepted right now, in words; "" when they can."""

    def lost(self) -> list[tuple[int, int]]:
        """(first, last) number of every stretch of the log that was missing or damaged at the start.

        Nothing of it is given again. `survey` looks at more than a start has time for.
        """

    def roll(self) -> None:
        """Ends the open segment, so that it can be sealed; nothing happens when it is empty.

        Raises LogFull when the next one cannot be begun; then the open one stays.
        """

    def open_first_seq(self) -> int:
        """Where the open segment begins; all before it are closed. The next number when none is open."""

    def limit(self, max_bytes: int) -> None:
        """From now on nothing is appended that would make the log larger than this; 0 lifts the limit.

        To be called again when something was retired, sealed or erased: what the log weighs is looked up.
        """

    def size_bytes(self) -> int:
        """What the log weighs, everything that is kept beside the messages included."""
