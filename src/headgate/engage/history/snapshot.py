"""Engage's store at one moment, however long it is read and whatever is committed meanwhile."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from headgate.engage.reader import EngageReader
from headgate.queries import load_queries

_SQL = load_queries("headgate.engage.history")


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

    def _of_type(self, type_: str) -> Any:
        between = (f"{type_}:", f"{type_};")
        (listed,) = self._db.execute(_SQL["holders_of"], between).fetchone()
        return np.fromstring(listed or "", dtype="i8", sep=",")
