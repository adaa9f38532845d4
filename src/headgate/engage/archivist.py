"""The archivist: has history written now and then, by a child process, and says what the log may let go.

Beside the engine. What the engine has read is needed in the log until history has it; profiles of messages
are remembered in the store until then (`batch.Assigned`).
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from headgate.clock import Clock
from headgate.engage.store import EngageStore

_MESSAGES = 50_000
_EVERY_S = 3_600.0
_AFTER_FAILURE_S = 60.0
_AT_MOST_EVERY_S = 5.0

log = logging.getLogger("headgate.engage")


class _Done(msgspec.Struct):
    archived_to: int


_decode = msgspec.json.Decoder(_Done).decode


class Archivist:
    """Archives once many messages have gathered, or an hour after the first. `archived` is told afterwards."""

    def __init__(
        self, data_dir: Path, store: EngageStore, clock: Clock, archived: Callable[[], None]
    ) -> None:
        self._data_dir = data_dir
        self._store = store
        self._clock = clock
        self._archived = archived
        self._grown = asyncio.Event()
        self._many = asyncio.Event()
        self._read_to = 0

    def read(self, read_to: int) -> None:
        """The engine has read the log up to this number."""
        self._read_to = read_to
        self._grown.set()
        if read_to - self.needed_above() >= _MESSAGES:
            self._many.set()

    def hurry(self) -> None:
        """Archives what there is: the log needs the room."""
        if self.needed_above() < self._read_to:
            self._many.set()

    def needed_above(self) -> int:
        """The number above which messages of the log are still needed."""
        waiting = self._store.assigned(0, 1)
        return waiting[0].first_seq - 1 if waiting else self._read_to

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._grown.wait()
            await self._clock.wait(self._many, _EVERY_S)
            self._grown.clear()
            self._many.clear()
            if not await self._archive():
                await self._clock.wait(asyncio.Event(), _AFTER_FAILURE_S)
            await self._clock.wait(asyncio.Event(), _AT_MOST_EVERY_S)
            if self.needed_above() < self._read_to:
                self.read(self._read_to)

    async def _archive(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "headgate.engage.history.archiving", str(self._data_dir)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            said, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            log.error("history could not be written, tried again: status %s", process.returncode)
            return False
        self._store.archived(_decode(said).archived_to)
        self._archived()
        return True
