"""The delivery store, `delivery/delivery.db`: facts go in here, and come out by `reader.py`.

One process writes it, one thread at a time. A commit is durable when `record` returns.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import zstandard

from headgate.delivery.counts import Counts, count_facts
from headgate.delivery.erasing import AT_ONCE, RecordedRequest, Without, edited, renamed
from headgate.delivery.facts import (
    FAILED,
    REPLAYED,
    Attempt,
    DeadLetter,
    Facts,
    Replay,
    Settled,
    Waiting,
)
from headgate.delivery.positions import pack
from headgate.delivery.reader import (
    VERSION,
    Counted,
    DeliveryReader,
    OtherStore,
    decompressed,
    other_version,
)
from headgate.queries import load_queries, migrate, schema_version

_PACKAGE = "headgate.delivery"
_SQL = load_queries(_PACKAGE)
_FORGOTTEN_AT_ONCE = 200

SPENDING_KEPT_MS = 120_000
COUNTED_AT_ONCE = 2_000


class DeliveryStore(DeliveryReader):
    """The one writer of the facts. Opening makes a missing store and brings an older one up to date.

    Raises OtherStore when a newer Headgate wrote it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        found = schema_version(self._db)
        if found > VERSION:
            self._db.close()
            raise OtherStore(other_version(path, found))
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten
        migrate(self._db, _PACKAGE)
        self._compress = zstandard.ZstdCompressor(level=1).compress

    def last_attempt_id(self) -> int:
        """The highest number that was recorded for an attempt so far."""
        return int(self._db.execute(_SQL["last_attempt_id"]).fetchone()[0])

    def record(self, facts: Facts) -> None:
        """Makes the facts durable, all or none; sqlite3.Error when they could not be."""
        with self._transaction():
            self._write(facts)

    def forget_before(self, destination: int, first_seq: int) -> bool:
        """Forgets some requests and outcomes of messages below `first_seq`; True when that was all.

        In small pieces, so that outcomes are never kept waiting for long.
        """
        asked = {
            "destination": destination,
            "first_seq": first_seq,
            "limit": _FORGOTTEN_AT_ONCE,
        }
        forgotten = [
            self._db.execute(_SQL[query], asked).rowcount
            for query in ("forget_attempts", "forget_settled")
        ]
        return max(forgotten) < _FORGOTTEN_AT_ONCE

    def count(self, counts: Counts, place: Counted) -> None:
        """Adds counts by receipt that were found from `place` on, and those of some facts."""
        count_facts(counts, self, place, COUNTED_AT_ONCE)
        many = self._db.executemany
        with self._transaction():
            many(_SQL["add_run"], counts.runs)
            many(_SQL["count_received"], [(*key, n) for key, n in counts.received.items()])
            many(_SQL["count_outcomes"], [(*key, n) for key, n in counts.outcomes.items()])
            self._db.execute(_SQL["set_counted"], (counts.seq, counts.settled_id))

    def forget_counts_before(self, first_seq: int) -> None:
        """Forgets the counts by receipt of messages below the first one that the log holds."""
        with self._transaction():
            for query in ("forget_runs", "forget_received", "forget_outcomes", "forget_untold"):
                self._db.execute(_SQL[query], {"first_seq": first_seq})

    def erase_users(self, cutoffs: Mapping[str, int]) -> None:
        """Deletes the users' dead letters up to their cutoffs, and their names from the budgets."""
        with self._transaction():
            letters = [{"user_id": user, "seq": seq} for user, seq in cutoffs.items()]
            self._db.executemany(_SQL["erase_letters"], letters)
            self._db.executemany(_SQL["erase_criteria"], letters)
            self._db.execute(_SQL["erase_bare_details"], {"seq": max(cutoffs.values())})
            self._db.execute(_SQL["erase_troubles"])
            for attempt_id, packed in self._db.execute(_SQL["all_spending"]).fetchall():
                rows = msgspec.msgpack.decode(packed, type=dict[str, int])
                kept = msgspec.msgpack.encode(renamed(rows, cutoffs))
                if kept != packed:
                    self._db.execute(_SQL["rename_spending"], (kept, attempt_id))

    def erase_from_requests(self, after_id: int, to_seq: int, without: Without) -> int | None:
        """Takes users out of some requests, those numbered above `after_id` that may hold messages up to
        `to_seq`; where to go on, None at the end."""
        asked = {"after_id": after_id, "seq": to_seq, "limit": AT_ONCE}
        requests = [
            RecordedRequest(id_, destination, first_seq, decompressed(packed))
            for id_, destination, first_seq, packed in self._db.execute(
                _SQL["attempts_to_erase"], asked
            ).fetchall()
        ]
        changed = [
            {"id": id_, "request": self._compress(body)} for id_, body in edited(requests, without)
        ]
        with self._transaction():
            self._db.executemany(_SQL["erase_attempt"], changed)
            self._db.executemany(_SQL["erase_details"], [{"id": one["id"]} for one in changed])
        return requests[-1].id if len(requests) == AT_ONCE else None

    def wipe(self) -> None:
        """Has nothing of what was erased left in the file beside the store."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _write(self, facts: Facts) -> None:
        many = self._db.executemany
        many(_SQL["add_attempt"], [self._attempt_row(attempt) for attempt in facts.attempts])
        for settled in facts.settled:
            self._settle(settled)
        many(_SQL["add_waiting"], [_waiting_row(waiting) for waiting in facts.waiting])
        many(_SQL["add_dead_letter"], map(_dead_letter_row, facts.dead_letters))
        many(_SQL["add_untold"], [(seq,) for seq in facts.untold])
        self._write_replays(facts)
        self._write_spending(facts)
        many(_SQL["set_cursor"], facts.cursors.items())
        many(
            _SQL["set_standing"],
            [
                (destination, one.state, one.trouble, one.since_ms)
                for destination, one in facts.standings.items()
            ],
        )
        many(_SQL["forget_waiting"], facts.cursors.items())

    def _settle(self, settled: Settled) -> None:
        """The outcome, counted; a replay's takes back from the tally what was recorded before."""
        destination, n = settled.destination, len(settled.seqs)
        if settled.outcome == REPLAYED:
            for outcome, reason, taken in self._standing(settled):
                row = (destination, outcome, reason, 0, -taken)
                self._db.execute(_SQL["tally_settled"], row)
        else:
            row = (destination, settled.outcome, settled.reason, n, n)
            self._db.execute(_SQL["tally_settled"], row)
        self._db.execute(_SQL["add_settled"], _settled_row(settled))

    def _standing(self, settled: Settled) -> Iterator[tuple[str, str, int]]:
        """What the messages of a replay count as so far; by dead letters when outcomes were forgotten."""
        folded = self.folded(settled.destination, np.array(settled.seqs, np.int64))
        for kind, seqs in folded.groups():
            if kind is None:
                yield from self._standing_letters(settled.destination, seqs.tolist())
            elif kind[0] != REPLAYED:
                yield (*kind, len(seqs))

    def _standing_letters(
        self, destination: int, seqs: list[int]
    ) -> Iterator[tuple[str, str, int]]:
        for seq in seqs:
            found = self._db.execute(_SQL["dead_letter_reason"], (destination, seq)).fetchone()
            if found:
                yield FAILED, found[0], 1

    def _write_replays(self, facts: Facts) -> None:
        many = self._db.executemany
        many(_SQL["add_replay"], map(_replay_row, facts.replays))
        at_ms = max((settled.at_ms for settled in facts.settled), default=0)
        many(
            _SQL["replay_progress"],
            [
                {"name": name, "destination": destination, "n": n, "at_ms": at_ms}
                for (name, destination), n in facts.replayed.items()
            ],
        )
        many(_SQL["drop_dead_letter"], facts.recovered)

    def _write_spending(self, facts: Facts) -> None:
        for spent in facts.spent:
            rows = msgspec.msgpack.encode(spent.rows)
            self._db.execute(
                _SQL["add_spending"],
                (spent.attempt_id, spent.scope, spent.ended_at_ms, rows, spent.writes_profiles),
            )
        if facts.spent:
            oldest_ms = facts.spent[0].ended_at_ms - SPENDING_KEPT_MS
            self._db.execute(_SQL["forget_spending"], (oldest_ms,))

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


def _dead_letter_row(letter: DeadLetter) -> tuple[object, ...]:
    return msgspec.structs.astuple(letter)


def _replay_row(replay: Replay) -> tuple[object, ...]:
    return msgspec.structs.astuple(replay)


def _positions(seqs: list[int]) -> tuple[int, int, int, bytes]:
    return len(seqs), seqs[0], seqs[-1], pack(seqs)
