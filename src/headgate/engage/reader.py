"""What Engage has stored, for reading: people and their identifiers, computations, figures.

Any process may read, while the store is written or after. The one writer is `store.py`.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from headgate.engage.batch import Assigned, Position
from headgate.engage.profile import Identifier, Profile
from headgate.engage.violations import KEPT, Violation
from headgate.queries import connect_read_only, load_migrations, load_queries, schema_version

_PACKAGE = "headgate.engage"
_SQL = load_queries(_PACKAGE)
_AT_ONCE = 1_000

VERSION = len(load_migrations(_PACKAGE))

_decode = msgspec.msgpack.Decoder(Profile).decode


class OtherStore(Exception):
    """The store was written by another version of Headgate."""


class Kept(NamedTuple):
    """A profile as it is stored; `size` is the length of its record in bytes."""

    profile: Profile
    due_at_ms: int | None
    size: int


class Computed(NamedTuple):
    """A computation that there is or was; `record` is the registry's."""

    number: int
    key: str
    kind: str
    record: bytes


class Backfill(NamedTuple):
    """Leaves that lack messages up to `to_seq`; the job's file is done up to `read_to` bytes."""

    job: int
    to_seq: int
    read_to: int
    leaves: frozenset[int]


class OutboxRow(NamedTuple):
    """An identify message that waits for the log; what stands `behind` waits for the others, too."""

    number: int
    destination: str
    user_id: str
    message_id: str
    raw: bytes
    behind: bool


class EngageReader:
    """Reads the store. Raises OtherStore when another version of Headgate wrote it."""

    def __init__(self, path: Path) -> None:
        self._db = connect_read_only(path)
        found = schema_version(self._db)
        if found != VERSION:
            self._db.close()
            raise OtherStore(other_version(path, found))

    def position(self) -> Position:
        """How far Engage is; at the beginning all is 0."""
        row = self._db.execute(_SQL["position"]).fetchone()
        return Position(*row) if row else Position()

    def heard(self) -> int:
        """Up to where it is known what was told in vain."""
        row = self._db.execute(_SQL["heard"]).fetchone()
        return row[0] if row else 0

    # people

    def holders(self, identifiers: Collection[Identifier]) -> dict[Identifier, int]:
        """The numbers of the profiles that have these identifiers; those that nobody has are left out."""
        by_key = {key_of(one): one for one in identifiers}
        rows = self._db.execute(_SQL["holders"], (_json(sorted(by_key)),))
        return {by_key[key]: id_ for key, id_ in rows}

    def load_holders(self, identifiers: Collection[Identifier]) -> list[Kept]:
        """The profiles that have any of these identifiers, each once."""
        asked = _json(sorted(map(key_of, identifiers)))
        rows = self._db.execute(_SQL["load_holders"], (asked,))
        found = {id_: (due, record) for id_, due, record in rows}
        return [Kept(_decode(record), due, len(record)) for due, record in found.values()]

    def load(self, ids: Iterable[int]) -> list[Kept]:
        """The profiles with these numbers, in order; those that are gone are left out."""
        rows = self._db.execute(_SQL["load"], (_json(sorted(ids)),))
        return [Kept(_decode(record), due, len(record)) for _, due, record in rows]

    def find(self, identifier: Identifier) -> Profile | None:
        """Who has the identifier."""
        found = self.load(self.holders([identifier]).values())
        return found[0].profile if found else None

    def profile(self, id_: int) -> Profile | None:
        """The profile with this number, or the one it is part of now."""
        row = self._db.execute(_SQL["where_is"], (id_,)).fetchone()
        found = self.load([row[0] if row else id_])
        return found[0].profile if found else None

    def owners(self, ids: Collection[int]) -> dict[int, int]:
        """The numbers of the profiles that these are now, or are part of."""
        merged = dict(self._db.execute(_SQL["merged_among"], (_json(sorted(ids)),)))
        return {id_: merged.get(id_, id_) for id_ in ids}

    def profiles(self, after: int = 0) -> Iterator[Profile]:
        """Everybody numbered above `after`, in order; who comes or changes meanwhile may be in it or not."""
        while rows := self._db.execute(_SQL["profiles"], (after, _AT_ONCE)).fetchall():
            yield from (_decode(record) for _, record in rows)
            after = rows[-1][0]

    def profile_count(self) -> int:
        """How many people are known; reads a whole index."""
        return int(self._db.execute(_SQL["profile_count"]).fetchone()[0])

    def forgotten(self) -> list[int]:
        """The numbers that stood for people who were deleted."""
        return [id_ for (id_,) in self._db.execute(_SQL["forgotten"])]

    def merged(self) -> dict[int, int]:
        """The profiles that are part of others, each by its number, and the ones they are part of."""
        return dict(self._db.execute(_SQL["merged"]))

    # time

    def earliest_due(self) -> int | None:
        """The next instant at which somebody may change without a message; never too late."""
        due: int | None = self._db.execute(_SQL["earliest_due"]).fetchone()[0]
        return due

    def due(self, until_ms: int, limit: int) -> list[int]:
        """The numbers of profiles that may have changed by `until_ms`, the longest due first."""
        return [id_ for (id_,) in self._db.execute(_SQL["due"], (until_ms, limit))]

    def sweep(self) -> int | None:
        """The number of the last profile that the sweep over everybody has seen; None: none is under way."""
        row = self._db.execute(_SQL["sweep"]).fetchone()
        return int(row[0]) if row else None

    def ids_after(self, after: int, limit: int) -> list[int]:
        """The next numbers of profiles, in order."""
        return [id_ for (id_,) in self._db.execute(_SQL["ids_after"], (after, limit))]

    # computations and figures

    def computations(self) -> list[Computed]:
        """Every computation there ever was, by number."""
        return [Computed(*row) for row in self._db.execute(_SQL["computations"])]

    def leaves(self) -> dict[str, int]:
        """The numbers that stand for leaves, by the leaves' texts."""
        return dict(self._db.execute(_SQL["leaves"]))

    def backfills(self) -> list[Backfill]:
        """What is still to be read from history, the oldest job first."""
        rows = self._db.execute(_SQL["backfills"]).fetchall()
        return [
            Backfill(job, to_seq, read_to, frozenset(row[3] for row in of_it))
            for (job, to_seq, read_to), group in groupby(rows, key=itemgetter(0, 1, 2))
            for of_it in [list(group)]
        ]

    def last_backfill(self) -> int:
        """The number of the last job that is not done; 0: all are."""
        return int(self._db.execute(_SQL["last_backfill"]).fetchone()[0])

    def sizes(self) -> dict[int, int]:
        """How many members each audience has, and how many people each trait has a value for."""
        return dict(self._db.execute(_SQL["sizes"]))

    def size_history(self, computation: int) -> list[tuple[int, int]]:
        """(beginning of the hour, members at its end), for every hour in which they changed."""
        return self._db.execute(_SQL["size_history"], (computation,)).fetchall()

    def counters(self) -> dict[str, int]:
        """What was counted over all time, by name; violations as `violation/KIND`."""
        return dict(self._db.execute(_SQL["counters"]))

    def violations(self) -> list[Violation]:
        """The last identifiers that were left out, the newest first."""
        return [Violation(*row) for row in self._db.execute(_SQL["violations"], (KEPT,))]

    # what others have not taken over yet

    def outbox(self, limit: int) -> list[OutboxRow]:
        """The oldest messages that wait for the log, then the oldest behind them; `limit` of either."""
        return [
            OutboxRow(number, destination, user_id, message_id, raw, behind)
            for behind in (False, True)
            for number, destination, user_id, message_id, raw in self._db.execute(
                _SQL["outbox"], (behind, limit)
            )
        ]

    def outbox_count(self) -> int:
        """How many messages wait for the log."""
        return int(self._db.execute(_SQL["outbox_count"]).fetchone()[0])

    def assigned(self, after: int, limit: int) -> list[Assigned]:
        """The profiles of messages that history does not have yet, of batches that begin above `after`."""
        return [Assigned(*row) for row in self._db.execute(_SQL["assigned"], (after, limit))]

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def seen_to(path: Path) -> int:
    """The highest number of a message that Engage has read; 0 without a store that can be read."""
    try:
        with closing(EngageReader(path)) as reader:
            return reader.position().seq
    except (OSError, OtherStore, sqlite3.Error):
        return 0


def key_of(identifier: Identifier) -> str:
    """The identifier as the store knows it; a type has no colon."""
    return f"{identifier.type}:{identifier.value}"


def other_version(path: Path, found: int) -> str:
    """What to say of a store with another schema."""
    age, remedy = (
        "an older",
        "start headgate serve with this data directory once, which upgrades it",
    )
    if found > VERSION:
        age, remedy = "a newer", "use that Headgate, or restore a backup made by this one"
    return (
        f"{path} was written by {age} Headgate: expected schema {VERSION}, found {found}; {remedy}"
    )


def _json(values: list[str] | list[int]) -> str:
    return msgspec.json.encode(values).decode()
