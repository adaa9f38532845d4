"""The delivery store, `delivery/delivery.db`: facts in, and what a restart, trace and audit need, out.

One process writes it, one thread at a time. A commit is durable when `record` returns.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zstandard

from headgate.delivery.facts import Attempt, Facts, Settled, Spent, Waiting
from headgate.delivery.positions import pack, runs, unpack
from headgate.queries import connect_read_only, load_queries, load_schema

_SQL = load_queries("headgate.delivery")
_VERSION = 1
SPENDING_KEPT_MS = 120_000
_MAX_REQUEST_BYTES = 64 * 1024 * 1024


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

    outcome: str
    reason: str
    detail: str
    at_ms: int
    attempt_id: int | None


class DeliveryReader:
    """Reads the facts; from any process, while they are written or after."""

    def __init__(self, path: Path) -> None:
        self._db = connect_read_only(path)

    def cursors(self) -> dict[int, int]:
        """By destination: everything up to this number is settled."""
        return dict(self._db.execute(_SQL["cursors"]))

    def breakers(self) -> dict[int, str]:
        """By destination: the state of its breaker, where it has ever changed."""
        return dict(self._db.execute(_SQL["breakers"]))

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
        for attempt_id, scope, ended_at_ms, rows in self._db.execute(
            _SQL["spending_since"], {"since_ms": since_ms}
        ):
            by_user = msgspec.msgpack.decode(rows, type=dict[str, int])
            yield Spent(attempt_id, scope, ended_at_ms, by_user)

    def outcomes_of(self, destination: int, seq: int) -> list[TracedOutcome]:
        """Every outcome the message was given, in order; the last one holds."""
        return [TracedOutcome(*row) for row in self._around("settled_around", destination, seq)]

    def attempts_of(self, destination: int, seq: int) -> list[TracedAttempt]:
        """Every request that held the message, in order."""
        return [
            TracedAttempt(*(*row[:-1], _decompress(row[-1])))
            for row in self._around("attempts_around", destination, seq)
        ]

    def retry_of(self, destination: int, seq: int) -> Retry | None:
        """The message's newest retry state."""
        rows = self._around("waiting_around", destination, seq)
        return Retry(*rows[-1]) if rows else None

    def counts(self) -> list[tuple[int, str, str, int]]:
        """(destination, outcome, reason, messages)."""
        return self._db.execute(_SQL["settled_counts"]).fetchall()

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

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _around(self, query: str, destination: int, seq: int) -> list[tuple[Any, ...]]:
        """The rows of a query whose last column, packed positions, holds the message."""
        rows = self._db.execute(_SQL[query], {"destination": destination, "seq": seq})
        return [row[:-1] for row in rows if seq in unpack(row[-1])]


class DeliveryStore(DeliveryReader):
    """The one writer of the facts."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._compress = zstandard.ZstdCompressor(level=1).compress
        if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
            self._db.executescript(
                f"BEGIN; {load_schema('headgate.delivery')} PRAGMA user_version = {_VERSION}; COMMIT;"
            )

    def last_attempt_id(self) -> int:
        """The highest number that was recorded for an attempt so far."""
        return int(self._db.execute(_SQL["last_attempt_id"]).fetchone()[0])

    def record(self, facts: Facts) -> None:
        """Makes the facts durable, all or none; sqlite3.Error when they could not be."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._write(facts)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _write(self, facts: Facts) -> None:
        many = self._db.executemany
        many(_SQL["add_attempt"], [self._attempt_row(attempt) for attempt in facts.attempts])
        many(_SQL["add_settled"], [_settled_row(settled) for settled in facts.settled])
        many(_SQL["add_waiting"], [_waiting_row(waiting) for waiting in facts.waiting])
        many(
            _SQL["add_dead_letter"],
            [
                (
                    d.destination,
                    d.seq,
                    d.message_id,
                    d.user_id,
                    d.reason,
                    d.at_ms,
                    d.attempt_id,
                    d.row,
                )
                for d in facts.dead_letters
            ],
        )
        for spent in facts.spent:
            rows = msgspec.msgpack.encode(spent.rows)
            self._db.execute(
                _SQL["add_spending"], (spent.attempt_id, spent.scope, spent.ended_at_ms, rows)
            )
        if facts.spent:
            oldest_ms = facts.spent[0].ended_at_ms - SPENDING_KEPT_MS
            self._db.execute(_SQL["forget_spending"], (oldest_ms,))
        many(_SQL["set_cursor"], facts.cursors.items())
        many(_SQL["set_breaker"], facts.breakers.items())
        many(_SQL["forget_waiting"], facts.cursors.items())

    def _attempt_row(self, attempt: Attempt) -> tuple[object, ...]:
        return (
            attempt.id,
            attempt.destination,
            attempt.started_at_ms,
            attempt.ended_at_ms,
            attempt.url,
            attempt.status,
            attempt.error,
            attempt.answer,
            self._compress(attempt.request),
            *_positions(attempt.seqs),
        )


def _settled_row(settled: Settled) -> tuple[object, ...]:
    return (
        settled.destination,
        settled.outcome,
        settled.reason,
        settled.detail,
        settled.at_ms,
        settled.attempt_id,
        *_positions(settled.seqs),
    )


def _waiting_row(waiting: Waiting) -> tuple[object, ...]:
    numbers = _positions(waiting.seqs)[1:]
    return (
        waiting.destination,
        waiting.attempts,
        waiting.first_attempt_ms,
        waiting.due_at_ms,
        *numbers,
    )


def _positions(seqs: list[int]) -> tuple[int, int, int, bytes]:
    return len(seqs), seqs[0], seqs[-1], pack(seqs)


def _decompress(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_REQUEST_BYTES)
