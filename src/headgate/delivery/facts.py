"""What delivery records: outcomes and attempts as facts, in sets of messages. Values, not rows."""

from collections import Counter
from typing import Literal

import msgspec

Outcome = Literal["delivered", "discarded", "failed", "replayed"]

DELIVERED: Outcome = "delivered"
DISCARDED: Outcome = "discarded"
FAILED: Outcome = "failed"
REPLAYED: Outcome = (
    "replayed"  # what was recorded before is taken back: the message is pending again
)


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
    """A message that was given up on: the row as it was sent, and the message as it is stored
    (`letters.py`), so that it can be mapped again when the log no longer holds it."""

    destination: int
    seq: int
    message_id: str
    user_id: str
    reason: str
    at_ms: int
    attempt_id: int | None
    row: bytes
    message: bytes


class Standing(msgspec.Struct, frozen=True):
    """How a destination is doing: delivering, failing or refusing, why, and since when."""

    state: str
    trouble: str
    since_ms: int


class Replay(msgspec.Struct, frozen=True):
    """Settled messages of one destination that are to be sent again; `criteria` says which, for people.

    `messages` are their numbers as `replays.py` packs them, `total` is how many they are. Recording it
    together with a `Settled` of outcome `replayed` makes them pending again.
    """

    name: str
    destination: int
    asked_at_ms: int
    criteria: str
    total: int
    messages: bytes


class Spent(msgspec.Struct, frozen=True):
    """Rows by user that an attempt took out of a budget; they count until 61 s after it ended.

    Recorded when the attempt starts, with the latest moment at which it can end, and again when it has
    ended; the later one replaces the earlier. An attempt that writes profiles is recorded without any
    limit too: until it has ended, what it carries may still take effect.
    """

    attempt_id: int
    scope: str
    ended_at_ms: int
    rows: dict[str, int]
    writes_profiles: bool = False


class Facts(msgspec.Struct):
    """What is recorded together or not at all.

    `cursors` tell how far everything is settled, `standings` how the destinations are doing.
    `replayed` are messages of replays that were settled, by the replay's name and destination; their
    (destination, number) is in `recovered` when they did not fail again. `untold` are the numbers of
    messages of Engage's that were settled in vain.
    """

    attempts: list[Attempt] = []
    settled: list[Settled] = []
    waiting: list[Waiting] = []
    dead_letters: list[DeadLetter] = []
    spent: list[Spent] = []
    cursors: dict[int, int] = {}
    standings: dict[int, Standing] = {}
    replays: list[Replay] = []
    replayed: Counter[tuple[str, int]] = msgspec.field(default_factory=Counter)
    recovered: list[tuple[int, int]] = []
    untold: list[int] = []

    def add(self, other: "Facts") -> None:
        """Take in what follows; a later cursor replaces an earlier one."""
        self.attempts += other.attempts
        self.settled += other.settled
        self.waiting += other.waiting
        self.dead_letters += other.dead_letters
        self.spent += other.spent
        self.cursors |= other.cursors
        self.standings |= other.standings
        self.replays += other.replays
        self.replayed += other.replayed
        self.recovered += other.recovered
        self.untold += other.untold
