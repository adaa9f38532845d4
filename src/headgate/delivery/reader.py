"""What delivery has recorded, for reading: what a restart, trace, audit, status and replays need.

Any process may read, while the store is written or after. The one writer is `store.py`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zstandard

from headgate.delivery.facts import DeadLetter, Outcome, Replay, Spent, Standing
from headgate.delivery.fold import Folded, Seqs
from headgate.delivery.positions import runs, unpack
from headgate.queries import connect_read_only, load_migrations, load_queries, schema_version

_PACKAGE = "headgate.delivery"
_SQL = load_queries(_PACKAGE)
_MAX_REQUEST_BYTES = 64 * 1024 * 1024

VERSION = len(load_migrations(_PACKAGE))


class OtherStore(Exception):
    """The store was written by another version of Headgate."""


class Retry(NamedTuple):
    """Where a message stands that was tried and not settled."""

    attempts: int
    first_attempt_ms: int
    due_at_ms: int


class TracedAttempt(NamedTuple):
    """An attempt that held a certain message."""

    id: int
    started_at_ms: int
    ended_at_ms: int
    url: str
    status: int
    error: str
    answer: bytes
    request: bytes


class TracedOutcome(NamedTuple):
    """An outcome that a certain message was given."""

    outcome: Outcome
    reason: str
    detail: str
    at_ms: int
    attempt_id: int | None


class Tally(NamedTuple):
    """How often an outcome was recorded, and how many messages have it now."""

    destination: int
    outcome: str
    reason: str
    recorded: int
    standing: int


class Run(NamedTuple):
    """Messages from `first_seq` up to the next run, received within the minute that begins at `minute_ms`.

    Of a lost one nobody can read any, so who owed them an outcome is unknown; its minute is a guess.
    """

    first_seq: int
    minute_ms: int
    is_lost: bool = False


class Counted(NamedTuple):
    """How far counts by receipt go in the log and in the facts, and how far there are facts by now.

    `run` is the last run; None without any.
    """

    seq: int
    settled_id: int
    newest_id: int
    run: Run | None


class Uncounted(NamedTuple):
    """An outcome that is not counted by receipt yet; `positions` are its messages, packed."""

    id: int
    destination: int
    outcome: str
    reason: str
    n: int
    first_seq: int
    last_seq: int
    positions: bytes


class Received(NamedTuple):
    """How many messages a source sent in a step of time that begins at `at_ms`, by workspace version."""

    at_ms: int
    version: int
    source: str
    n: int


class Became(NamedTuple):
    """How many messages received in a step of time have an outcome now; `is_lost`: nobody can read them."""

    at_ms: int
    is_lost: bool
    destination: int
    outcome: str
    reason: str
    n: int


class LastAnswer(NamedTuple):
    """The end of the newest request; `status` is 0 when it was not answered."""

    destination: int
    status: int
    error: str
    ended_at_ms: int


class LetterHead(NamedTuple):
    """A dead letter without what is in it."""

    seq: int
    user_id: str
    reason: str
    at_ms: int


class ReplayProgress(NamedTuple):
    """How far a replay has come at one destination; `ended_at_ms` is None while it goes on."""

    name: str
    destination: int
    asked_at_ms: int
    criteria: str
    total: int
    settled: int
    ended_at_ms: int | None


class DeliveryReader:
    """Reads the facts."""

    def __init__(self, path: Path) -> None:
        self._db = connect_read_only(path)
        found = schema_version(self._db)
        if found != VERSION:
            self._db.close()
            raise OtherStore(other_version(path, found))

    # how far delivery is

    def cursors(self) -> dict[int, int]:
        """By destination: everything up to this number is settled."""
        return dict(self._db.execute(_SQL["cursors"]))

    def standings(self) -> dict[int, Standing]:
        """By destination: how it is doing, where that was ever anything but delivering."""
        rows = self._db.execute(_SQL["standings"])
        return {destination: Standing(*standing) for destination, *standing in rows}

    def settled_above(self, destination: int, seq: int) -> Iterator[range]:
        """The messages above the cursor that are settled already, in runs; some may reach below it."""
        asked = {"destination": destination, "seq": seq}
        for (packed,) in self._db.execute(_SQL["settled_above"], asked):
            yield from runs(packed)

    def retries_above(self, destination: int, seq: int) -> dict[int, Retry]:
        """The retry state of messages above the cursor, settled ones possibly included."""
        asked = {"destination": destination, "seq": seq}
        retries: dict[int, Retry] = {}
        for attempts, first_ms, due_ms, packed in self._db.execute(_SQL["waiting_above"], asked):
            retry = Retry(attempts, first_ms, due_ms)
            retries.update((one, retry) for one in unpack(packed) if one > seq)
        return retries

    def spending_since(self, since_ms: int) -> Iterator[Spent]:
        """What requests that ended at `since_ms` or later took out of the budgets."""
        for attempt_id, scope, ended_at_ms, rows, writes in self._db.execute(
            _SQL["spending_since"], {"since_ms": since_ms}
        ):
            by_user = msgspec.msgpack.decode(rows, type=dict[str, int])
            yield Spent(attempt_id, scope, ended_at_ms, by_user, bool(writes))

    # one message

    def outcomes_of(self, destination: int, seq: int) -> list[TracedOutcome]:
        """Every outcome the message was given, in order; the last one holds."""
        return [TracedOutcome(*row) for row in self._around("settled_around", destination, seq)]

    def attempts_of(self, destination: int, seq: int) -> list[TracedAttempt]:
        """Every request that held the message, in order."""
        return [_attempt(row) for row in self._around("attempts_around", destination, seq)]

    def attempt(self, attempt_id: int) -> TracedAttempt | None:
        """The request with this number; None when it is not kept (any more)."""
        row = self._db.execute(_SQL["attempt"], (attempt_id,)).fetchone()
        return _attempt(row) if row else None

    def retry_of(self, destination: int, seq: int) -> Retry | None:
        """The message's newest retry state."""
        rows = self._around("waiting_around", destination, seq)
        return Retry(*rows[-1]) if rows else None

    # many messages

    def freeze(self) -> None:
        """From here on everything is read as it is now, whatever is recorded meanwhile."""
        self._db.execute("BEGIN")
        self._db.execute(_SQL["cursors"]).fetchall()

    def settled_ends(self) -> dict[int, int]:
        """By destination: the highest number that has an outcome."""
        return dict(self._db.execute(_SQL["settled_ends"]))

    def settled_within(
        self, destination: int, first_seq: int, last_seq: int
    ) -> Iterator[tuple[str, str, Iterator[range]]]:
        """(outcome, reason, runs of numbers) of the facts that touch the range; a later one wins."""
        asked = {"destination": destination, "first_seq": first_seq, "last_seq": last_seq}
        for outcome, reason, packed in self._db.execute(_SQL["settled_within"], asked):
            yield outcome, reason, runs(packed)

    def folded(self, destination: int, seqs: Seqs) -> Folded:
        """The outcome that each of these messages, which ascend, has now."""
        if not len(seqs):
            return Folded(seqs, ())
        return Folded(seqs, self.settled_within(destination, int(seqs[0]), int(seqs[-1])))

    # figures

    def tallies(self) -> list[Tally]:
        """Outcomes over all time, by destination, outcome and reason."""
        return [Tally(*row) for row in self._db.execute(_SQL["tallies"])]

    def counted(self) -> Counted:
        """How far counts by receipt go (`counts.py`)."""
        seq, settled_id, newest_id, *run = self._db.execute(_SQL["counted"]).fetchone()
        return Counted(seq, settled_id, newest_id, None if run[0] is None else Run(*run))

    def runs_from(self, seq: int) -> list[Run]:
        """The runs in order, from the one that holds a message on."""
        return [Run(*row) for row in self._db.execute(_SQL["runs_from"], {"seq": seq})]

    def uncounted(self, place: Counted, most: int) -> list[Uncounted]:
        """The first facts that were recorded before `place` was read, and are not counted by receipt."""
        asked = {"after_id": place.settled_id, "to_id": place.newest_id, "limit": most}
        return [Uncounted(*row) for row in self._db.execute(_SQL["settled_since"], asked)]

    def settled_before(self, fact: Uncounted) -> Iterator[tuple[str, str, Iterator[range]]]:
        """What had been recorded of messages before a fact about them; as `settled_within`."""
        asked = {
            "destination": fact.destination,
            "first_seq": fact.first_seq,
            "last_seq": fact.last_seq,
            "id": fact.id,
        }
        for outcome, reason, packed in self._db.execute(_SQL["settled_before"], asked):
            yield outcome, reason, runs(packed)

    def received(self, from_ms: int, to_ms: int, step_ms: int) -> list[Received]:
        """What was received in whole minutes of a half-open range, as far as it is counted, by steps."""
        asked = {"from_ms": from_ms, "to_ms": to_ms, "step_ms": step_ms}
        return [Received(*row) for row in self._db.execute(_SQL["received_by_step"], asked)]

    def became(self, from_ms: int, to_ms: int, step_ms: int) -> list[Became]:
        """What has become of it, by the time of receipt too."""
        asked = {"from_ms": from_ms, "to_ms": to_ms, "step_ms": step_ms}
        return [Became(*row) for row in self._db.execute(_SQL["outcomes_by_step"], asked)]

    def settled_for(
        self, destination: int, outcome: str, reason: str, from_ms: int, to_ms: int
    ) -> Iterator[tuple[int, str, Iterator[range]]]:
        """The messages behind a figure: (when, detail, runs of numbers), newest first."""
        asked = {
            "destination": destination,
            "outcome": outcome,
            "reason": reason,
            "from_ms": from_ms,
            "to_ms": to_ms,
        }
        for at_ms, detail, packed in self._db.execute(_SQL["settled_for"], asked):
            yield at_ms, detail, runs(packed)

    # dead letters and replays

    def dead_letters(
        self,
        *,
        destination: int | None = None,
        reason: str | None = None,
        user_id: str | None = None,
        message_id: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
    ) -> Iterator[DeadLetter]:
        """Those that fit, newest first; the range of when they were given up on is half-open."""
        asked = {
            "destination": destination,
            "reason": reason,
            "user_id": user_id,
            "message_id": message_id,
            "from_ms": from_ms,
            "to_ms": to_ms,
        }
        return (DeadLetter(*row) for row in self._db.execute(_SQL["dead_letters"], asked))

    def dead_letter_counts(self) -> dict[int, int]:
        """By destination: how many dead letters there are."""
        return dict(self._db.execute(_SQL["dead_letter_counts"]))

    def letter_heads(self, destination: int) -> list[LetterHead]:
        """A destination's dead letters, ascending by number."""
        rows = self._db.execute(_SQL["letter_heads"], {"destination": destination})
        return [LetterHead(*row) for row in rows]

    def dead_letter(self, destination: int, seq: int) -> DeadLetter | None:
        """One of them; None when there is none (any more)."""
        asked = {"destination": destination, "seq": seq}
        row = self._db.execute(_SQL["letter"], asked).fetchone()
        return DeadLetter(*row) if row else None

    def failed_for(self, destination: int, first_seq: int) -> Iterator[tuple[str, Iterator[range]]]:
        """(detail, runs of numbers) of failures that touch numbers from `first_seq` on; a later one wins."""
        asked = {"destination": destination, "first_seq": first_seq}
        for detail, packed in self._db.execute(_SQL["failed_for"], asked):
            yield detail, runs(packed)

    def delivered_between(self, destination: int, from_ms: int, to_ms: int) -> int:
        """How many messages were delivered between two moments, both included."""
        asked = {"destination": destination, "from_ms": from_ms, "to_ms": to_ms}
        return int(self._db.execute(_SQL["delivered_between"], asked).fetchone()[0])

    def last_answer(self) -> LastAnswer | None:
        """What came back last, wherever from; None before anything did."""
        row = self._db.execute(_SQL["last_answer"]).fetchone()
        return LastAnswer(*row) if row else None

    def next_attempt_ms(self, destination: int, after_ms: int) -> int | None:
        """When something is next tried again, as far as retries are under way."""
        asked = {"destination": destination, "after_ms": after_ms}
        found: int | None = self._db.execute(_SQL["next_attempt"], asked).fetchone()[0]
        return found

    def dead_letter_message(self, destination: int, seq: int) -> bytes:
        """The message of a dead letter, as `letters.py` seals it; empty when there is none."""
        row = self._db.execute(_SQL["dead_letter_at"], (destination, seq)).fetchone()
        return row[0] if row else b""

    def replays(self) -> list[ReplayProgress]:
        """Every replay there was, newest first."""
        return [ReplayProgress(*row) for row in self._db.execute(_SQL["replays"])]

    def open_replays(self) -> list[Replay]:
        """What is still to be sent again, oldest first."""
        rows = self._db.execute(_SQL["open_replays"])
        return [
            Replay(name, destination, at_ms, criteria, total, messages)
            for name, destination, at_ms, criteria, total, messages in rows
        ]

    def knows_replay(self, name: str, destination: int) -> bool:
        """Whether a replay of this name was recorded for the destination."""
        return bool(self._db.execute(_SQL["is_replay_known"], (name, destination)).fetchone()[0])

    def seen_to(self) -> int:
        """The highest number that anything is recorded of."""
        return int(self._db.execute(_SQL["seen_to"]).fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _around(self, query: str, destination: int, seq: int) -> list[tuple[Any, ...]]:
        """The rows of a query whose last column, packed positions, holds the message."""
        rows = self._db.execute(_SQL[query], {"destination": destination, "seq": seq})
        return [row[:-1] for row in rows if seq in unpack(row[-1])]


def other_version(path: Path, found: int) -> str:
    """What to say about a store of another version."""
    age, remedy = (
        "an older",
        "start headgate serve with this data directory once, which upgrades it",
    )
    if found > VERSION:
        age, remedy = "a newer", "use that Headgate, or restore a backup made by this one"
    return (
        f"{path} was written by {age} Headgate: expected schema {VERSION}, found {found}; {remedy}"
    )


def seen_to(path: Path) -> int:
    """The highest number that delivery has recorded anything of; 0 without a store that can be read."""
    try:
        with closing(DeliveryReader(path)) as reader:
            return reader.seen_to()
    except (OSError, OtherStore, sqlite3.Error):
        return 0


def _attempt(row: tuple[Any, ...]) -> TracedAttempt:
    return TracedAttempt(*(*row[:-1], decompressed(row[-1])))


def decompressed(packed: bytes) -> bytes:
    """A request as it was sent."""
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_REQUEST_BYTES)
