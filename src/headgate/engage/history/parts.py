"""The files of history: `DAY/FIRST-LAST.parquet`, the messages of one UTC day, by their numbers in the log.

A part holds every message of its day, from its first number to its last, that belongs to somebody. Parts of
a day follow each other, so that the last number of a day says what is archived. A part is whole or absent:
written under another name, made durable, renamed. When some are merged, the large one stands beside the
small ones for a moment; those that lie within another one do not count.
"""

import fcntl
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from headgate.eventlog.segments import sync_directory
from headgate.locks import Lock, Locked, hold

_NAME = re.compile(r"([0-9]{12,})-([0-9]{12,})\.parquet")
_UNFINISHED = ".unfinished"
SPILL = "spill-"  # directories of processes that are at work
_READERS = "readers.lock"
_WRITER = "writer.lock"
_PAUSE_S = 0.02


class UnreadableHistory(Exception):
    """Parts are not what was written; the text says which, and what to do."""


class Part(NamedTuple):
    """A file, the day it belongs to, and the numbers of its first and last message."""

    path: Path
    day: str
    first: int
    last: int


def history_directory(data_dir: Path) -> Path:
    """Where the parts of a data directory are."""
    return data_dir / "engage" / "history"


def engage_store(data_dir: Path) -> Path:
    """Where Engage's store of a data directory is."""
    return data_dir / "engage" / "engage.db"


def day_of(at_ms: int) -> str:
    """The UTC day of an instant, as the name of its directory."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def parts_in(directory: Path) -> list[Part]:
    """All parts that count, by day and number."""
    found: list[Part] = []
    for part in sorted(_files(directory), key=lambda one: (one.day, one.first, -one.last)):
        if found and found[-1].day == part.day and part.last <= found[-1].last:
            continue
        found.append(part)
    return found


def archived_by_day(parts: Iterable[Part]) -> Mapping[str, int]:
    """The number up to which the messages of each day are archived; 0 for other days."""
    archived: dict[str, int] = defaultdict(int)
    for part in parts:
        archived[part.day] = max(archived[part.day], part.last)
    return archived


def size_bytes(directory: Path) -> int:
    """What history weighs on disk."""
    return sum(path.stat().st_size for path in directory.glob("*/*.parquet"))


@contextmanager
def new_part(directory: Path, day: str, first: int, last: int) -> Iterator[Path]:
    """Where to write a part; it is there, and durable, when the block ends without an error.

    It replaces the part of the same numbers.
    """
    holder = directory / day
    if not holder.exists():
        holder.mkdir(mode=0o700)
        sync_directory(directory)
    path = holder / f"{first:012}-{last:012}.parquet"
    unfinished = path.with_suffix(_UNFINISHED)
    try:
        yield unfinished
        _sync_file(unfinished)
        unfinished.replace(path)
        sync_directory(holder)
    finally:
        unfinished.unlink(missing_ok=True)


def remove(parts: Iterable[Part]) -> None:
    """Removes parts; only with `alone` held."""
    for part in parts:
        part.path.unlink(missing_ok=True)


def remove_superseded(directory: Path) -> None:
    """Removes the parts that lie within another one: a merge died before it did; only with `alone` held."""
    counting = set(parts_in(directory))
    remove(part for part in _files(directory) if part not in counting)


def tidy(directory: Path) -> None:
    """Removes what processes that died have left, unless somebody reads; only with `writing` held."""
    with suppress(Locked), alone(directory, 0):
        remove_superseded(directory)
        for spill in directory.glob(f"{SPILL}*"):
            shutil.rmtree(spill)


def clear_unfinished(directory: Path) -> None:
    """Removes what a writer that died has left; only with `writing` held."""
    for path in directory.glob(f"*/*{_UNFINISHED}"):
        path.unlink()


# Who is at the parts


@contextmanager
def writing(directory: Path, timeout_s: float) -> Iterator[None]:
    """One writer at a time. Raises Locked when another one goes on for longer than that."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with hold(directory / _WRITER, timeout_s):
        os.close(os.open(directory / _READERS, os.O_CREAT | os.O_CLOEXEC, 0o600))
        clear_unfinished(directory)
        yield


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """While it lasts, parts may be added and none is changed or removed. Needs no right to write."""
    try:
        descriptor = os.open(directory / _READERS, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # nothing was ever written
        yield
        return
    with Lock(descriptor):
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(directory: Path, timeout_s: float) -> Iterator[None]:
    """Nobody reads the parts meanwhile. Raises Locked when somebody does for longer than that."""
    path = directory / _READERS
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with Lock(descriptor):
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Locked(f"{path} is held by another process") from None
                time.sleep(_PAUSE_S)
        yield


def _files(directory: Path) -> Iterator[Part]:
    for path in directory.glob("*/*.parquet"):
        match = _NAME.fullmatch(path.name)
        if match:
            yield Part(path, path.parent.name, int(match[1]), int(match[2]))


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
