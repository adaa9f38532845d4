"""What the doors refused: counted exactly, kept in a ring. Beside the log, written by the gateway alone.

A refusal never enters the log, so a flood of unknown write keys cannot fill it: per source the last
10,000 are kept, 64 MB in all; unknown write keys count as one source ("") of which 100 a second are kept.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

MAX_KEPT_PER_SOURCE = 10_000
MAX_KEPT_BYTES = 64_000_000
MAX_KEPT_PER_SECOND_OF_UNKNOWN = 100
UNKNOWN_SOURCE = ""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS refusal (
    id         INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    source     TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    message_id TEXT    NOT NULL,
    answered   INTEGER NOT NULL,
    body       BLOB    NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS refusal_by_message_id ON refusal (message_id);
CREATE INDEX IF NOT EXISTS refusal_by_source ON refusal (source, id);
CREATE TABLE IF NOT EXISTS refusal_count (
    minute_ms  INTEGER NOT NULL,
    source     TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    answered   INTEGER NOT NULL,
    n          INTEGER NOT NULL,
    PRIMARY KEY (minute_ms, source, reason, answered)
) STRICT, WITHOUT ROWID;
"""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """One message, or one whole body, that was not taken in. `answered` is the status its sender got."""

    at_ms: int
    source: str
    reason: str
    message_id: str
    body: bytes
    answered: int = 200


class RefusedRing:
    """Counts and keeps refusals in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._kept = dict(self._db.execute("SELECT source, count(*) FROM refusal GROUP BY source"))
        self._kept_bytes: int = self._db.execute(
            "SELECT coalesce(sum(length(body)), 0) FROM refusal"
        ).fetchone()[0]
        self._unknown_second = 0
        self._unknown_kept = 0

    def add(self, refusals: Sequence[Refusal]) -> None:
        """Durable when it returns; sqlite3.Error when it could not be made so."""
        counts: dict[tuple[int, str, str, int], int] = defaultdict(int)
        for refusal in refusals:
            minute_ms = refusal.at_ms - refusal.at_ms % 60_000
            counts[minute_ms, refusal.source, refusal.reason, refusal.answered] += 1
        kept = [refusal for refusal in refusals if self._worth_keeping(refusal)]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT INTO refusal_count VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET n = n + excluded.n",
                [(*key, n) for key, n in counts.items()],
            )
            self._db.executemany(
                "INSERT INTO refusal (at_ms, source, reason, message_id, answered, body) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [(r.at_ms, r.source, r.reason, r.message_id, r.answered, r.body) for r in kept],
            )
            for refusal in kept:
                self._kept[refusal.source] = self._kept.get(refusal.source, 0) + 1
                self._kept_bytes += len(refusal.body)
            self._trim()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _worth_keeping(self, refusal: Refusal) -> bool:
        if refusal.source != UNKNOWN_SOURCE:
            return True
        second = refusal.at_ms // 1000
        if second != self._unknown_second:
            self._unknown_second, self._unknown_kept = second, 0
        self._unknown_kept += 1
        return self._unknown_kept <= MAX_KEPT_PER_SECOND_OF_UNKNOWN

    def _trim(self) -> None:
        for source, n in self._kept.items():
            if n > MAX_KEPT_PER_SOURCE:
                self._drop_oldest(
                    "SELECT id, source, length(body) FROM refusal WHERE source = ? ORDER BY id LIMIT ?",
                    (source, n - MAX_KEPT_PER_SOURCE),
                )
        while self._kept_bytes > MAX_KEPT_BYTES:
            self._drop_oldest(
                "SELECT id, source, length(body) FROM refusal ORDER BY id LIMIT ?", (100,)
            )

    def _drop_oldest(self, query: str, parameters: tuple[object, ...]) -> None:
        dropped = self._db.execute(query, parameters).fetchall()
        self._db.executemany("DELETE FROM refusal WHERE id = ?", [(row[0],) for row in dropped])
        for _, source, size in dropped:
            self._kept[source] -= 1
            self._kept_bytes -= size


def refusals_of(path: Path, message_id: str) -> Iterator[Refusal]:
    """The kept refusals of a messageId, oldest first; nothing when the ring does not exist yet."""
    if not path.exists():
        return
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = db.execute(
            "SELECT at_ms, source, reason, message_id, body, answered FROM refusal "
            "WHERE message_id = ? ORDER BY id",
            (message_id,),
        )
        yield from (Refusal(*row) for row in rows)
    finally:
        db.close()
