"""Engage's store at one moment, however long it is read and whatever is committed meanwhile."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from headgate.engage.reader import EngageReader
from headgate.queries import load_queries

_SQL = load_queries("headgate.engage.history")
_ALL = -1  # as a limit of SQLite


class Snapshot(EngageReader):
    """The store as it was when this was opened. Raises OtherStore as every reader."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.execute("BEGIN")
        self.position()  # the first statement that reads fixes the moment

    def who_have(self, types: Collection[str]) -> Any:
        """The profiles that have an identifier of one of these types, as a column, some more than once."""
        found = [self._of_type(type_) for type_ in sorted(types)]
        return np.concatenate(found)

    def ids(self) -> Any:
        """The numbers of everybody who is known, as a column."""
        (listed,) = self._db.execute(_SQL["ids"]).fetchone()
        return _column(listed)

    def unsettled(self, at_ms: int) -> set[int]:
        """Who is still to be evaluated at an instant: the time has come, or a sweep is on its way."""
        after = self.sweep()
        on_its_way = [] if after is None else self.ids_after(after, _ALL)
        return {*self.due(at_ms, _ALL), *on_its_way}

    def leaves(self) -> dict[str, int]:
        """The numbers that stand for leaves in the records."""
        return dict(self._db.execute(_SQL["leaves"]))

    def _of_type(self, type_: str) -> Any:
        between = (f"{type_}:", f"{type_};")
        (listed,) = self._db.execute(_SQL["holders_of"], between).fetchone()
        return _column(listed)


def _column(listed: str | None) -> Any:
    """Numbers in one text, with commas, as a column."""
    return np.fromstring(listed, dtype="i8", sep=",") if listed else np.empty(0, dtype="i8")
