"""What delivery records: outcomes and attempts as facts, in sets of messages. Values, not rows."""

from typing import Literal

import msgspec

Outcome = Literal["delivered", "discarded", "failed"]

DELIVERED: Outcome = "delivered"
DISCARDED: Outcome = "discarded"
FAILED: Outcome = "failed"


class Attempt(msgspec.Struct, frozen=True):
    """One request that was sent, and what came back. `seqs` are the messages in it, ascending."""

    id: int
    destination: int
    started_at_ms: int
    ended_at_ms: int
    url: str
    status: int
    error: str
    answer: bytes
    request: bytes
    seqs: list[int]


class Settled(msgspec.Struct, frozen=True):
    """An outcome of some messages for one destination. `seqs` ascend."""

    destination: int
    outcome: Outcome
    reason: str
    detail: str
    at_ms: int
    seqs: list[int]
    attempt_id: int | None = None


class Waiting(msgspec.Struct, frozen=True):
    """Messages that were tried `attempts` times and will be tried again. `seqs` ascend."""

    destination: int
    attempts: int
    first_attempt_ms: int
    due_at_ms: int
    seqs: list[int]


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was given up on, with the row as it was sent."""

    destination: int
    seq: int
    message_id: str
    user_id: str
    reason: str
    at_ms: int
    attempt_id: int | None
    row: bytes


class Spent(msgspec.Struct, frozen=True):
    """Rows by user that an attempt took out of a budget; they count until 61 s after it ended.

    Recorded when the attempt starts, with the latest moment at which it can end, and again when it has
    ended; the later one replaces the earlier.
    """

    attempt_id: int
    scope: str
    ended_at_ms: int
    rows: dict[str, int]


class Facts(msgspec.Struct):
    """What is recorded together or not at all.

    `cursors` tell how far everything is settled, `breakers` how the destinations are doing.
    """

    attempts: list[Attempt] = []
    settled: list[Settled] = []
    waiting: list[Waiting] = []
    dead_letters: list[DeadLetter] = []
    spent: list[Spent] = []
    cursors: dict[int, int] = {}
    breakers: dict[int, str] = {}

    def add(self, other: "Facts") -> None:
        """Take in what follows; a later cursor replaces an earlier one."""
        self.attempts += other.attempts
        self.settled += other.settled
        self.waiting += other.waiting
        self.dead_letters += other.dead_letters
        self.spent += other.spent
        self.cursors |= other.cursors
        self.breakers |= other.breakers
