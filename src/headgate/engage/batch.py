"""What a batch of messages comes to, as values: committed together or not at all (`store.py`)."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from headgate.engage.identifies import Identify
from headgate.engage.violations import Violation


class Position(msgspec.Struct, frozen=True):
    """How far Engage is: the last message read, the time of its evaluation, the last profile's number."""

    seq: int = 0
    clock_ms: int = 0
    last_profile: int = 0


class Written(msgspec.Struct, frozen=True, gc=False):
    """A profile's record. `is_due_new`: `due_at_ms` is not what is stored."""

    id: int
    record: bytes
    due_at_ms: int | None
    is_new: bool
    is_due_new: bool


class Changes(msgspec.Struct):
    """What became of profiles: records by number, identifiers by key, who went into whom."""

    written: list[Written] = []
    held: list[tuple[str, int]] = []
    gone: list[tuple[int, int]] = []
    last_profile: int = 0


class Assigned(msgspec.Struct, frozen=True):
    """The profiles of messages that follow each other in the log; 0: nobody's."""

    first_seq: int
    n: int
    profiles: bytes


class Batch(msgspec.Struct):
    """A batch, evaluated at `clock_ms`, of messages up to `seq`.

    `backfilled`: a job's number, and how far its file was read with this batch. `heard`: up to where it is
    known what was told in vain. `sizes` and `counters` are
    what is to be added; `violations` were counted there already. `behind`: others go before what is in `outbox`.
    """

    seq: int
    clock_ms: int
    changes: Changes
    outbox: list[Identify] = []
    sizes: Counter[int] = msgspec.field(default_factory=Counter)
    counters: Counter[str] = msgspec.field(default_factory=Counter)
    violations: list[Violation] = []
    assigned: list[Assigned] = []
    backfilled: tuple[int, int] | None = None
    heard: int | None = None
    behind: bool = False


def assigned(first_seq: int, profiles: Sequence[int]) -> Assigned:
    """Packs the profiles of messages, the first of which is `first_seq`."""
    return Assigned(first_seq, len(profiles), np.array(profiles, "<i8").tobytes())


def profiles_of(packed: Assigned) -> list[int]:
    """The profiles as they were packed."""
    found: list[int] = np.frombuffer(packed.profiles, "<i8").tolist()
    return found
