"""What Engage said and a destination will not get: left by delivery in its store, heard by Engage.

Delivery writes a row with the outcome that ends a message of Engage's in vain: given up on, or discarded because
its destination was disabled. Engage then no longer takes it for told (`engage/hearing.py`).
"""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from headgate.queries import connect_read_only

_AFTER = "SELECT id, seq FROM untold WHERE id > ? ORDER BY id LIMIT ?"


class Untold(NamedTuple):
    """A message by its number in the log; `id` counts such messages."""

    id: int
    seq: int


class UntoldReader:
    """Reads on and on; the store may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def after(self, id_: int, most: int) -> list[Untold]:
        """The next ones, at most so many. Raises sqlite3.Error when the store cannot be read."""
        if self._db is None:
            if not self._path.exists():
                return []
            self._db = connect_read_only(self._path)
        return [Untold(*row) for row in self._db.execute(_AFTER, (id_, most))]

    def close(self) -> None:
        """Lets go of the store."""
        if self._db is not None:
            self._db.close()
