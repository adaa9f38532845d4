"""Engage's store as the commands and the Profile API read it: in one consistent view, whoever writes meanwhile."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path

import msgspec

from headgate.engage.history.parts import engage_store
from headgate.engage.history.snapshot import Snapshot
from headgate.engage.planning import records_of
from headgate.engage.profile import Identifier, Profile
from headgate.engage.reader import EngageReader, OtherStore, key_of
from headgate.engage.registry import Record, State
from headgate.eventlog.sqlite import sqlite_reader
from headgate.queries import load_queries
from headgate.records.stored import Stored
from headgate.stores import UnusableDirectory

_SQL = load_queries("headgate.engage") | load_queries("headgate.records.engage")
_LAST_CHARACTER = "\U0010ffff"

_decode = msgspec.msgpack.Decoder(Profile).decode


class NothingComputed(Exception):
    """A data directory in which Engage has stored nothing; its text says so."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"Engage has stored nothing in {data_dir} yet: it begins when a server runs on a workspace"
            " with audiences or computed traits; a backup does not hold it"
        )


class Engaged(Snapshot):
    """The store at one moment, with what the commands ask of it."""

    @cached_property
    def records(self) -> list[Record]:
        """Every computation there is, in the order of their numbers."""
        return [one for one in records_of(self.computations()) if one.state is not State.REMOVED]

    def record(self, key: str) -> Record | None:
        """The computation with this key."""
        return next((one for one in self.records if one.key == key), None)

    def removed(self, key: str) -> Record | None:
        """The computation that had this key before it was removed; the key is not used again."""
        ever = records_of(self.computations())
        return next((one for one in ever if one.key == key and one.state is State.REMOVED), None)

    def waiting(self) -> dict[str, int]:
        """How many messages wait for the log, by the destination they are for."""
        return dict(self._db.execute(_SQL["waiting"]))

    def numbers_of(self, profile: int) -> list[int]:
        """The profile's own number, and those of the profiles that went into it."""
        return [profile, *(id_ for (id_,) in self._db.execute(_SQL["merged_into"], (profile,)))]

    def first_due(self, limit: int) -> list[tuple[int, Profile]]:
        """Who may change without a message next, and from when on, the earliest first."""
        rows = self._db.execute(_SQL["first_due"], (limit,))
        return [(due_at_ms, _decode(record)) for due_at_ms, record in rows]

    def newest(self, limit: int) -> list[Profile]:
        """Who was first seen last, the newest first."""
        rows = self._db.execute(_SQL["newest_profiles"], (limit,))
        return [_decode(record) for (record,) in rows]

    def beginning_with(
        self, text: str, limit: int, *, of_type: str = ""
    ) -> list[tuple[Identifier, int]]:
        """Identifiers of one type, or any, whose value begins like this, and whose they are."""
        found: list[tuple[Identifier, int]] = []
        for type_ in [of_type] if of_type else self._types():
            begin = key_of(Identifier(type_, text))
            asked = (begin, begin + _LAST_CHARACTER, limit - len(found))
            for key, profile in self._db.execute(_SQL["keys_between"], asked):
                found.append((Identifier(type_, key.partition(":")[2]), profile))
        return found

    def _types(self) -> list[str]:
        """The types of identifiers that there are."""
        types: list[str] = []
        while row := self._db.execute(_SQL["next_key"], (_behind(types),)).fetchone():
            types.append(row[0].partition(":")[0])
        return types


def _behind(types: list[str]) -> str:
    """Behind every identifier of the last type: ";" follows ":"."""
    return f"{types[-1]};" if types else ""


def behind(store: EngageReader, stored: Stored) -> int:
    """How many messages of the log Engage has not read yet."""
    with closing(sqlite_reader(stored.log)) as log:
        return max(0, log.last_seq() - store.position().seq)


@contextmanager
def engaged(data_dir: Path) -> Iterator[Engaged]:
    """The store of a data directory; raises NothingComputed, and UnusableDirectory for another version's."""
    path = engage_store(data_dir)
    if not path.exists():
        raise NothingComputed(data_dir)
    try:
        store = Engaged(path)
    except OtherStore as error:
        raise UnusableDirectory(str(error)) from None
    with closing(store):
        yield store
