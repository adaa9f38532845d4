"""Replays that commands have asked for: files in `DIR/replays/`, until delivery has recorded them.

Read by the worker when it starts and when it is told of a new one. The file goes once the replay is
recorded, so whatever dies in between, it is neither forgotten nor done twice.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec

from headgate.delivery.replays import ReplayRequest, decode

SUFFIX = ".request"

log = logging.getLogger("headgate.delivery")


class Requested:
    """The requests of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def take_up(self, replay: Callable[[ReplayRequest], Awaitable[None]]) -> None:
        """Hands every request over, oldest first, and removes it afterwards."""
        for path, request in self._waiting():
            await replay(request)
            self._done(path)

    def _waiting(self) -> Iterator[tuple[Path, ReplayRequest]]:
        """Those that can be read; the others are put aside, with a line in the log."""
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            try:
                yield path, decode(path.read_bytes())
            except FileNotFoundError:  # taken up by an earlier call, meanwhile
                continue
            except msgspec.MsgspecError as error:
                log.error("%s is no request for a replay, it is put aside: %s", path, error)
                path.replace(path.with_suffix(".unreadable"))

    def _done(self, path: Path) -> None:
        path.unlink(missing_ok=True)
