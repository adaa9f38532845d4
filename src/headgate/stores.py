"""The stores of a data directory: where each lies, and whether this Headgate can go about with it.

Asked before anything in the directory is opened for writing: a directory of something else, a store that
a newer Headgate wrote and one that is damaged are refused with nothing touched. An older one is fine
here; whoever writes it brings it up to date.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from headgate.queries import connect_read_only, load_migrations, schema_version

DELIVERY = "delivery/delivery.db"
ENGAGE = "engage/engage.db"
LOG = "log"
WITNESS = "log/witness"
REFUSED = "refused.db"
WORKSPACE = "workspace.db"
REPLAYS = "replays"
RESTORING = ".restoring"  # what a restore has not put in place yet

_REFUSED_VERSION = 0
_NEEDED = (DELIVERY, REFUSED)  # Engage is not: delivery goes on without it
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_WITHOUT = {
    DELIVERY: "the outcomes, dead letters and replays on record are lost then, and every message that"
    " is still in the log is delivered again, under the same idempotency key",
    REFUSED: "what is counted and kept of refused messages is lost then, and nothing else",
    ENGAGE: "people, audiences and traits are made anew from the log as far as it reaches then, and"
    " destinations are told again of everybody; until then the server delivers without Engage, and"
    " keeps everything in the log that Engage has not read",
}


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


class DamagedStore(UnusableDirectory):
    """SQLite cannot read a store."""

    def __init__(self, data_dir: Path, name: str, why: str) -> None:
        path = data_dir / name
        away = f"{path.name} away, with {path.name}-wal and {path.name}-shm if they are there"
        if name == ENGAGE:
            away = f"{path.parent} away, history included, which is of no use without it"
        super().__init__(
            f"{path} is damaged and cannot be read ({why}): restore a backup, or stop the server and"
            f" move {away}; {_WITHOUT[name]}"
        )


def check_readable(data_dir: Path, *, thoroughly: bool = False) -> None:
    """Raises DamagedStore when SQLite cannot make sense of the recorded outcomes or refusals.

    A glance at each, however large it is. `thoroughly` reads every page, and what Engage knows as well: for
    when damage was come upon deeper inside, and the store that has it is to be named.
    """
    for name in _WITHOUT if thoroughly else _NEEDED:
        if why := _damage(data_dir / name, thoroughly=thoroughly):
            raise DamagedStore(data_dir, name, why)


def trouble_of_engage(data_dir: Path) -> str:
    """What to say when Engage's store is damaged, at a glance; "" when it is not. It stops nothing else."""
    why = _damage(data_dir / ENGAGE, thoroughly=False)
    return str(DamagedStore(data_dir, ENGAGE, why)) if why else ""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that a file is not as it was written."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


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
    yield data_dir / ENGAGE, len(load_migrations("headgate.engage"))
    yield data_dir / REFUSED, _REFUSED_VERSION


def _damage(path: Path, *, thoroughly: bool) -> str:
    """What SQLite finds wrong; "" for nothing. What is locked or not ours to read is told by who opens it."""
    if not path.exists():
        return ""
    found = "ok"
    try:
        with closing(connect_read_only(path)) as db:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if thoroughly:
                found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error) if is_damage(error) else ""
    return "" if found == "ok" else " ".join(found.split())


def _version(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with closing(connect_read_only(path)) as db:
            return schema_version(db)
    except sqlite3.DatabaseError:
        return 0
