"""How much room the log has: on its disk, and below the cap that its owner has set.

Asked by the log's writer before every block. A little of the disk is left free, so that outcomes can
still be recorded when messages no longer can. What the log weighs is looked up now and then and counted
along in between; before anything is refused for the cap it is looked up once more.
"""

import os
from collections.abc import Callable, Container
from pathlib import Path

from headgate.eventlog.interface import LogFull

FREE_FLOOR_BYTES = 8 * 1024 * 1024
LARGE_REQUEST_BYTES = 1024 * 1024  # a health that says yes must hold for the next request, too
_MAX_UNSEEN_BYTES = 4 * 1024 * 1024  # written between two looks; what SQLite adds to it is unknown
_UNSEEN_OF_CAP = 16
_SEGMENTS_IN_CAP = 8
_NOT_COUNTED = (".new", ".ids")
_MIN_SEGMENT_BYTES = 1024 * 1024


def segment_bytes_under(max_bytes: int) -> int:
    """How large a segment may get below a cap, so that something can always be retired."""
    return max(_MIN_SEGMENT_BYTES, max_bytes // _SEGMENTS_IN_CAP)


def limit_reached(held_bytes: int, max_bytes: int, wanted_bytes: int = 0) -> str:
    """Why so much more may not be appended, in words; "" when it may. 0 means no limit."""
    if not 0 < max_bytes < held_bytes + wanted_bytes:
        return ""
    return (
        f"retention.maxBytes is reached: the log holds {held_bytes // 1024} KiB of "
        f"{max_bytes // 1024} KiB, and nothing of it may go yet; "
        "it makes room once its oldest segment is settled, or when retention.maxBytes is raised"
    )


def free_bytes(directory: Path) -> int:
    """What is free on the disk of this directory."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def held_bytes(directory: Path) -> int:
    """What the log weighs, without files that are still being made or about to go.

    The ids of messages do not count: they are kept for a day whatever the cap, and would fill a small one.
    """
    with os.scandir(directory) as files:
        sizes = {file.name: _size(file) for file in files if not file.name.endswith(_NOT_COUNTED)}
    return sum(size for name, size in sizes.items() if not _is_replaced(name, sizes))


class Space:
    """The room in one directory."""

    def __init__(self, directory: Path, free: Callable[[Path], int]) -> None:
        self._directory = directory
        self._free = free
        self._max_bytes = 0
        self.look()

    def limit(self, max_bytes: int) -> None:
        """Sets the cap, 0 for none, and looks up what the log weighs."""
        self._max_bytes = max_bytes
        self.look()

    def look(self) -> None:
        """Looks up what the log weighs."""
        self._looked_up, self._taken_since = held_bytes(self._directory), 0

    def held_bytes(self) -> int:
        """What the log weighs, as far as is known without looking."""
        return self._looked_up + self._taken_since

    def taken(self, size_bytes: int) -> None:
        """So much was written."""
        self._taken_since += size_bytes
        unseen = self._max_bytes // _UNSEEN_OF_CAP if self._max_bytes else _MAX_UNSEEN_BYTES
        if self._taken_since > min(unseen, _MAX_UNSEEN_BYTES):
            self.look()

    def segment_bytes(self, max_segment_bytes: int) -> int:
        """How large a segment may get."""
        if not self._max_bytes:
            return max_segment_bytes
        return min(max_segment_bytes, segment_bytes_under(self._max_bytes))

    def refuse_when_short(self, wanted_bytes: int) -> None:
        """LogFull when there is no room for so much more."""
        self._refuse_when_disk_is_full(wanted_bytes)
        if self._capped(wanted_bytes):
            self.look()
        if why := self._capped(wanted_bytes):
            raise LogFull(why)

    def _capped(self, wanted_bytes: int) -> str:
        return limit_reached(self.held_bytes(), self._max_bytes, wanted_bytes)

    def _refuse_when_disk_is_full(self, wanted_bytes: int) -> None:
        try:
            free = self._free(self._directory)
        except OSError as error:
            raise LogFull(f"the event log's directory cannot be looked at: {error}") from error
        if free < FREE_FLOOR_BYTES + wanted_bytes:
            raise LogFull(
                f"the disk is full: {free // 1024} KiB free in {self._directory}, "
                f"{(FREE_FLOOR_BYTES + wanted_bytes) // 1024} KiB needed"
            )


def _is_replaced(name: str, names: Container[str]) -> bool:
    """Whether the file belongs to a segment as it was written, of which there is a sealed one."""
    number, _, kind = name.partition(".")
    return kind.startswith("db") and f"{number}.sealed.db" in names


def _size(file: "os.DirEntry[str]") -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # retired or sealed meanwhile
        return 0
