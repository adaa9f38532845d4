"""The stores of a data directory: where each lies, and which schema of it this Headgate knows.

Asked before anything in the directory is opened for writing: a store that a newer Headgate wrote is
refused with nothing touched. An older one is fine here; whoever writes it brings it up to date.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from headgate.queries import connect_read_only, load_migrations, schema_version

DELIVERY = "delivery/delivery.db"
LOG = "log"
WITNESS = "log/witness"
REFUSED = "refused.db"
WORKSPACE = "workspace.db"
REPLAYS = "replays"
RESTORING = ".restoring"  # what a restore has not put in place yet

_REFUSED_VERSION = 0


class UnusableDirectory(Exception):
    """A data directory that this Headgate must leave alone; its text says why and what to do."""


class NewerStore(UnusableDirectory):
    """A store has schema `found`, and this Headgate knows them up to `known`."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} was written by a newer Headgate: expected schema {known} or older, found"
            f" {found}; use that Headgate, or restore a backup made by this one"
        )
        self.path = path
        self.found = found
        self.known = known


class HalfRestored(UnusableDirectory):
    """A restore into the directory was cut off."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"a restore into {data_dir} was cut off or is under way; unless one is, empty the"
            " directory and restore again"
        )


def check_versions(data_dir: Path) -> None:
    """Raises UnusableDirectory when a store is newer than this Headgate, or only half restored.

    A missing store is none of its business, nor is a damaged one: who opens it says so.
    """
    from headgate.eventlog.segments import check_version

    if (data_dir / RESTORING).exists():
        raise HalfRestored(data_dir)
    for path, known in _databases(data_dir):
        found = _version(path)
        if found > known:
            raise NewerStore(path, found, known)
    check_version(data_dir / LOG)


def _databases(data_dir: Path) -> Iterator[tuple[Path, int]]:
    yield data_dir / WORKSPACE, len(load_migrations("headgate.workspace"))
    yield data_dir / DELIVERY, len(load_migrations("headgate.delivery"))
    yield data_dir / REFUSED, _REFUSED_VERSION


def _version(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with closing(connect_read_only(path)) as db:
            return schema_version(db)
    except sqlite3.DatabaseError:
        return 0
