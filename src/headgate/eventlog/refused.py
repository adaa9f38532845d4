"""What the doors refused: counted exactly, kept in a ring. Beside the log, written by the gateway alone.

A refusal never enters the log, so a flood of unknown write keys cannot fill it: per source the last
10,000 are kept, 64 MB in all; unknown write keys count as one source ("") of which 100 a second are kept.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import msgspec

from headgate.queries import connect_read_only
from headgate.spec.message import id_text
from headgate.spec.repair import DECODE_ERRORS, decode_tolerantly

MAX_KEPT_PER_SOURCE = 10_000
MAX_KEPT_BYTES = 64_000_000
MAX_KEPT_PER_SECOND_OF_UNKNOWN = 100
MAX_KEPT_KEYS = 100
UNKNOWN_SOURCE = ""
_LIBRARY_CHARS = 80

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
CREATE TABLE IF NOT EXISTS unknown_key (
    write_key  TEXT    PRIMARY KEY,
    n          INTEGER NOT NULL,
    first_ms   INTEGER NOT NULL,
    last_ms    INTEGER NOT NULL,
    library    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
"""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """One message, or one whole body, that was not taken in. `answered` is the status
    that says so to the sender; one who asked for a pixel sees a picture all the same.

    `write_key` is what `masked_key` makes of a key that no source has; "" for every other refusal.
    """

    at_ms: int
    source: str
    reason: str
    message_id: str
    body: bytes
    answered: int = 200
    write_key: str = ""


class UnknownKey(NamedTuple):
    """A write key that no source has, masked: how often it was used, when, and by which library at last."""

    write_key: str
    messages: int
    first_ms: int
    last_ms: int
    library: str


class RefusedRing:
    """Counts and keeps refusals in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")  # what is erased is to be gone from the file
        self._db.executescript(_SCHEMA)
        self._weigh()
        self._unknown_second = 0
        self._unknown_kept = 0

    def add(self, refusals: Sequence[Refusal]) -> None:
        """Durable when it returns; sqlite3.Error when it could not be made so."""
        counts: dict[tuple[int, str, str, int], int] = defaultdict(int)
        for refusal in refusals:
            minute_ms = refusal.at_ms - refusal.at_ms % 60_000
            counts[minute_ms, refusal.source, refusal.reason, refusal.answered] += 1
        kept = _newest_of_each_source(filter(self._worth_keeping, refusals))
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
            self._count_keys([one for one in refusals if one.write_key])
            for refusal in kept:
                self._kept[refusal.source] = self._kept.get(refusal.source, 0) + 1
                self._kept_bytes += len(refusal.body)
            self._trim()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._weigh()
            raise

    def erase(self, user_ids: Collection[str]) -> int:
        """Drops every refusal whose body is about one of these users; how many. Counts stay.

        A body that cannot be decoded is about a user whose id occurs in it. Durable when it returns,
        and nothing of the bodies is left in the file; sqlite3.Error when that could not be done.
        """
        rows = self._db.execute("SELECT id, source, length(body), body FROM refusal")
        about = [row[:3] for row in rows if _is_about(row[3], user_ids)]
        if not about:
            return 0
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._drop(about)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._weigh()
            raise
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return len(about)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _weigh(self) -> None:
        """Counts what the ring holds; afterwards every change is counted along."""
        self._kept = dict(self._db.execute("SELECT source, count(*) FROM refusal GROUP BY source"))
        self._kept_bytes: int = self._db.execute(
            "SELECT coalesce(sum(length(body)), 0) FROM refusal"
        ).fetchone()[0]

    def _worth_keeping(self, refusal: Refusal) -> bool:
        if refusal.source != UNKNOWN_SOURCE:
            return True
        second = refusal.at_ms // 1000
        if second != self._unknown_second:
            self._unknown_second, self._unknown_kept = second, 0
        self._unknown_kept += 1
        return self._unknown_kept <= MAX_KEPT_PER_SECOND_OF_UNKNOWN

    def _count_keys(self, refusals: Sequence[Refusal]) -> None:
        """Every use of an unknown key counts; of the keys, those that were used last are kept."""
        used: defaultdict[str, list[Refusal]] = defaultdict(list)
        for one in refusals:
            used[one.write_key].append(one)
        for write_key, ones in used.items():
            last = ones[-1]
            row = (write_key, len(ones), ones[0].at_ms, last.at_ms, _library(last.body))
            self._db.execute(
                "INSERT INTO unknown_key VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "n = n + excluded.n, last_ms = excluded.last_ms, library = excluded.library",
                row,
            )
        if used:
            self._db.execute(
                "DELETE FROM unknown_key WHERE write_key NOT IN "
                "(SELECT write_key FROM unknown_key ORDER BY last_ms DESC LIMIT ?)",
                (MAX_KEPT_KEYS,),
            )

    def _trim(self) -> None:
        for source, n in self._kept.items():
            if n > MAX_KEPT_PER_SOURCE:
                self._drop(
                    self._db.execute(
                        "SELECT id, source, length(body) FROM refusal WHERE source = ? "
                        "ORDER BY id LIMIT ?",
                        (source, n - MAX_KEPT_PER_SOURCE),
                    ).fetchall()
                )
        while self._kept_bytes > MAX_KEPT_BYTES:
            oldest = self._db.execute(
                "SELECT id, source, length(body) FROM refusal ORDER BY id LIMIT 100"
            ).fetchall()
            excess = self._kept_bytes - MAX_KEPT_BYTES
            freed = accumulate(size for _, _, size in oldest)
            self._drop(oldest[: 1 + sum(total < excess for total in freed)])

    def _drop(self, rows: list[tuple[int, str, int]]) -> None:
        self._db.executemany("DELETE FROM refusal WHERE id = ?", [(row[0],) for row in rows])
        for _, source, size in rows:
            self._kept[source] -= 1
            self._kept_bytes -= size


def masked_key(write_key: str) -> str:
    """Enough of a write key to tell it from others, and too little to use it."""
    return f"{write_key[:4]}…{write_key[-2:]}" if len(write_key) > 8 else f"{write_key[:2]}…"


def _library(body: bytes) -> str:
    """Name and version of the library that a message says it came from; "" when it does not."""
    try:
        message = decode_tolerantly(msgspec.json.decode, body)[0]
    except DECODE_ERRORS:
        return ""
    context = message.get("context") if isinstance(message, dict) else None
    library = context.get("library") if isinstance(context, dict) else None
    if not isinstance(library, dict):
        return ""
    said = (library.get("name"), library.get("version"))
    return " ".join(one for one in said if isinstance(one, str))[:_LIBRARY_CHARS]


def _newest_of_each_source(refusals: Iterable[Refusal]) -> list[Refusal]:
    """In their order, without those that the ring would drop again at once."""
    room: dict[str, int] = defaultdict(lambda: MAX_KEPT_PER_SOURCE)
    kept = []
    for refusal in reversed(list(refusals)):
        if room[refusal.source]:
            room[refusal.source] -= 1
            kept.append(refusal)
    return kept[::-1]


def _is_about(body: bytes, user_ids: Collection[str]) -> bool:
    """Whether a refused message, or any message of a refused batch, is one of these users'."""
    try:
        decoded = decode_tolerantly(msgspec.json.decode, body)[0]
    except DECODE_ERRORS:
        return any(user_id.encode() in body for user_id in user_ids)
    batch = decoded.get("batch") if isinstance(decoded, dict) else decoded
    return any(
        id_text(message.get("userId")) in user_ids
        for message in [decoded, *(batch if isinstance(batch, list) else ())]
        if isinstance(message, dict)
    )


def refusals_of(path: Path, message_id: str) -> Iterator[Refusal]:
    """The kept refusals of a messageId, oldest first; nothing when the ring does not exist yet."""
    if not path.exists():
        return
    db = connect_read_only(path)
    try:
        rows = db.execute(
            "SELECT at_ms, source, reason, message_id, body, answered FROM refusal "
            "WHERE message_id = ? ORDER BY id",
            (message_id,),
        )
        yield from (Refusal(*row) for row in rows)
    finally:
        db.close()


class KeptRefusal(NamedTuple):
    """A refusal and its number in the ring; later ones have higher numbers."""

    id: int
    refusal: Refusal


def kept_refusals(
    path: Path,
    source: str,
    *,
    reason: str = "",
    above: int = 0,
    below: int | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    limit: int = 100,
) -> list[KeptRefusal]:
    """The newest kept refusals of a source between two numbers, both excluded, newest first.

    The range of when they were refused is half-open; None leaves an end open.
    """
    if not path.exists():
        return []
    asked = {"source": source, "reason": reason, "above": above, "below": below, "limit": limit}
    asked |= {"from_ms": from_ms, "to_ms": to_ms}
    db = connect_read_only(path)
    try:
        rows = db.execute(
            "SELECT id, at_ms, source, reason, message_id, body, answered FROM refusal "
            "WHERE source = :source AND id > :above AND (:below IS NULL OR id < :below) "
            "AND (:reason = '' OR reason = :reason) AND (:from_ms IS NULL OR at_ms >= :from_ms) "
            "AND (:to_ms IS NULL OR at_ms < :to_ms) ORDER BY id DESC LIMIT :limit",
            asked,
        )
        return [KeptRefusal(id_, Refusal(*refusal)) for id_, *refusal in rows]
    finally:
        db.close()


def refusal_counts(
    path: Path, from_ms: int | None = None, to_ms: int | None = None
) -> list[tuple[str, str, int, int]]:
    """(source, reason, status answered, messages) of the minutes that begin in the half-open range.

    Exact, unlike the ring; nothing when the ring does not exist yet. None leaves an end open.
    """
    if not path.exists():
        return []
    db = connect_read_only(path)
    try:
        return db.execute(
            "SELECT source, reason, answered, sum(n) FROM refusal_count "
            "WHERE (?1 IS NULL OR minute_ms >= ?1) AND (?2 IS NULL OR minute_ms < ?2) "
            "GROUP BY source, reason, answered ORDER BY source, reason, answered",
            (from_ms, to_ms),
        ).fetchall()
    finally:
        db.close()


def unknown_keys(path: Path, since_ms: int) -> list[UnknownKey]:
    """The unknown write keys that were used since a moment, the one that was used last first."""
    if not path.exists():
        return []
    db = connect_read_only(path)
    try:
        rows = db.execute(
            "SELECT write_key, n, first_ms, last_ms, library FROM unknown_key "
            "WHERE last_ms >= ? ORDER BY last_ms DESC",
            (since_ms,),
        )
        return [UnknownKey(*row) for row in rows]
    finally:
        db.close()
